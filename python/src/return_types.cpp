// ferrule.return_types: the named tuples of ops that have several results, as
// in `x.max(dim=0).values`.
#include "binder.h"

namespace ferrule::python {
namespace {

nb::dict& types() {
  static auto* all = new nb::dict;  // lives as long as the process
  return *all;
}

PyTypeObject* make(const char* name, std::span<const std::string_view> outs) {
  nb::list names;
  for (std::string_view out : outs) {
    const std::string_view field = result_name(out);
    names.append(nb::str(field.data(), field.size()));
  }
  nb::object type =
      nb::module_::import_("collections")
          .attr("namedtuple")(name, names,
                              nb::arg("module") = "ferrule.return_types");
  nb::setattr(type, "__doc__",
              nb::str(concat("The results of `", name, "`.").c_str()));
  types()[name] = type;
  return reinterpret_cast<PyTypeObject*>(type.ptr());
}

}  // namespace

std::string_view result_name(std::string_view out) {
  if (out.ends_with('?')) out.remove_suffix(1);
  return out;
}

bool names_results(const OpDef& op) {
  const bool shown = op.where || !module_names_of(op).empty();
  return shown && info_of(op).schema.nouts > 1;
}

PyTypeObject* return_type_of(const OpDef& op) {
  const Schema& s = info_of(op).schema;
  if (!names_results(op)) return nullptr;
  return make(op.name, {s.outs, static_cast<size_t>(s.nouts)});
}

PyTypeObject* return_type(const char* name) {
  return reinterpret_cast<PyTypeObject*>(nb::object(types()[name]).ptr());
}

PyObject* wrap_results(Results r, PyTypeObject* type) {
  if (r.n == 1) return wrap(std::move(r[0]));
  if (r.n == 0) Py_RETURN_NONE;
  nb::object tuple = own(type ? type->tp_alloc(type, r.n) : PyTuple_New(r.n));
  for (int i = 0; i < r.n; ++i) {
    PyTuple_SET_ITEM(tuple.ptr(), i, wrap(std::move(r[i])));
  }
  return tuple.release().ptr();
}

void bind_return_types(nb::module_& m) {
  // Methods that are no ops.
  static constexpr std::string_view kExtreme[] = {"values", "indices"};
  make("max", kExtreme);
  make("min", kExtreme);
  m.def(
      "named_results", [] { return nb::dict(types()); },
      "The types in `ferrule.return_types` that the module makes, by name.");
}

}  // namespace ferrule::python
