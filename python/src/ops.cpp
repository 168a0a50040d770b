// Every op as a function, and as a method of Tensor: raw CPython functions, no
// dispatcher between them and the binder.
#include <array>
#include <deque>
#include <utility>

#include "binder.h"

using namespace nanobind::literals;

namespace ferrule::python {
namespace {

// CPython's functions carry no data, so each op has a body of its own that
// knows its index: a function, its method and its in-place method.
constexpr int kMaxEntries = 1024;
OpEntry entries[kMaxEntries];
int nentries = 0;
PyObject* ops_module;

PyObject* call_entry(const OpEntry& entry, PyObject* self,
                     PyObject* const* args, Py_ssize_t nargs,
                     PyObject* kwnames) noexcept {
  try {
    Binder binder(entry);
    binder.parse(self == ops_module ? nullptr : self, args, nargs, kwnames);
    return binder.call();
  } catch (...) {
    set_python_error();
    return nullptr;
  }
}

template <size_t kIndex>
PyObject* trampoline(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                     PyObject* kwnames) {
  return call_entry(entries[kIndex], self, args, nargs, kwnames);
}

using Trampoline = decltype(&trampoline<0>);

template <size_t... kIndices>
constexpr std::array<Trampoline, sizeof...(kIndices)> make_trampolines(
    std::index_sequence<kIndices...>) {
  return {trampoline<kIndices>...};
}
constexpr auto kTrampolines =
    make_trampolines(std::make_index_sequence<kMaxEntries>());

// Names and texts that CPython only points to.
const char* keep(std::string text) {
  static auto* texts = new std::deque<std::string>;
  return texts->emplace_back(std::move(text)).c_str();
}

// Calls visit for every name of the op, its own first.
template <class Visit>
void each_name(const OpDef& op, const Visit& visit) {
  visit(std::string(op.name));
  for (const std::string& alias : aliases_of(op)) visit(alias);
}

// `own`: the name has the op's text, and does not refer to the op's name.
PyMethodDef* definition(int index, const std::string& name, bool method,
                        bool own) {
  static auto* definitions = new std::deque<PyMethodDef>;
  const OpEntry& e = entries[index];
  std::string doc = concat(name, text_signature(e, method), "\n--\n\n");
  if (e.in_place) {
    doc += concat("In-place form of `", e.op->name,
                  "`: writes the result into the tensor and returns it.\n");
  } else if (!own) {
    doc += concat("Another name of `", e.op->name, "`.\n");
  } else if (e.op->doc) {
    doc += e.op->doc;
  }
  return &definitions->emplace_back(
      PyMethodDef{keep(name), as_function(kTrampolines[index]),
                  METH_FASTCALL | METH_KEYWORDS, keep(std::move(doc))});
}

int add_entry(const OpDef* op, bool in_place) {
  if (nentries == kMaxEntries) {
    fail<RuntimeError>("more than ", kMaxEntries,
                       " ops: raise kMaxEntries in python/src/ops.cpp");
  }
  entries[nentries] = make_entry(*op, in_place);
  entries[nentries].results = return_type_of(*op);
  return nentries++;
}

// The first method of a name stays: hand-written protocols, then the op table,
// then compositions.
void add_method(PyMethodDef* d) {
  if (PyDict_GetItemString(tensor_type->tp_dict, d->ml_name)) return;
  nb::object m = own(PyDescr_NewMethod(tensor_type, d));
  check(PyObject_SetAttrString(reinterpret_cast<PyObject*>(tensor_type),
                               d->ml_name, m.ptr()));
}

// The functions that belong to modules of `ferrule`, as a dict for each.
nb::dict module_functions() {
  nb::dict modules;
  for (int i = 0; i < nentries; ++i) {
    const OpEntry& e = entries[i];
    if (e.in_place) continue;
    for (const ModuleName& at : module_names_of(*e.op)) {
      nb::str module(at.module.c_str());
      if (!modules.contains(module)) modules[module] = nb::dict();
      PyMethodDef* d = definition(i, at.name, false, !e.op->where);
      nb::str home(concat("ferrule.", at.module).c_str());
      modules[module][at.name.c_str()] =
          own(PyCFunction_NewEx(d, ops_module, home.ptr()));
    }
  }
  return modules;
}

}  // namespace

void bind_ops(nb::module_& m) {
  prepare_keywords();
  nb::object name = nb::getattr(m, "__name__") + nb::str(".ops");
  nb::object module = own(PyModule_NewObject(name.ptr()));
  ops_module = module.ptr();
  nb::setattr(module, "__doc__", nb::str("Every op by name."));
  nb::dict functions, functional;
  for (const OpDef* op : all_ops()) {
    if (op->runs_graphs) continue;  // not for calls: see _control_flow.py
    int index = add_entry(op, false);
    int in_place = op->has_inplace ? add_entry(op, true) : -1;
    each_name(*op, [&](const std::string& known_as) {
      nb::str key(known_as.c_str());
      const bool is_own = known_as == op->name;
      nb::object f = own(PyCFunction_NewEx(
          definition(index, known_as, false, is_own), ops_module, name.ptr()));
      nb::setattr(module, key, f);
      if (op->where & kFunction) functions[key] = f;
      if (op->where & kFunctional) functional[key] = f;
      if (op->where & kMethod) {
        add_method(definition(index, known_as, true, is_own));
      }
      if (in_place < 0) return;
      const std::string written = concat(known_as, "_");
      add_method(definition(in_place, written, true, false));
      if (op->where & kFunctional) {
        functional[nb::str(written.c_str())] =
            own(PyCFunction_NewEx(definition(in_place, written, false, false),
                                  ops_module, name.ptr()));
      }
    });
  }
  for (PyMethodDef* d = kComposedMethods; d->ml_name; ++d) {
    add_method(d);
  }
  for (auto item : functions) m.attr(item.first) = item.second;
  // In sys.modules, so that the functions can be pickled by name.
  nb::module_::import_("sys").attr("modules")[name] = module;
  m.attr("ops") = module;
  module.release();  // lives as long as the process
  m.def(
      "op_functions", [functions] { return nb::dict(functions); },
      "The ops that are functions of `ferrule`, by name.");
  m.def(
      "functional_ops", [functional] { return nb::dict(functional); },
      "The ops that are functions of `ferrule.nn.functional`, by name.");
  m.def(
      "module_ops",
      [modules = module_functions()](const char* module) {
        return nb::dict(modules[module]);
      },
      "module"_a, "The ops that are functions of `ferrule.MODULE`, by name.");
}

}  // namespace ferrule::python
