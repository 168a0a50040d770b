// The op table as Python data, for documentation, stubs and the tests of ops.
#include "binder.h"

namespace ferrule::python {
namespace {

nb::object text(const char* s) {
  return s ? nb::object(nb::str(s)) : nb::object(nb::none());
}
nb::str text(std::string_view s) { return nb::str(s.data(), s.size()); }

const char* kind_name(ParamKind k) {
  static const char* const kNames[] = {"tensor", "tensors", "operand", "int",
                                       "float",  "bool",    "ints",    "str",
                                       "dtype",  "device",  "scalar"};
  return kNames[static_cast<int>(k)];
}

const char* class_name(TensorClass c) {
  static const char* const kNames[] = {"any", "float", "int", "bool"};
  return kNames[static_cast<int>(c)];
}

const char* policy_name(Autocast a) {
  static const char* const kNames[] = {"pass", "keep", "lower", "f32",
                                       "widest"};
  return kNames[static_cast<int>(a)];
}

nb::object default_value(const Arg& a) {
  switch (a.tag) {
    case ArgTag::int_:
      return nb::int_(a.i);
    case ArgTag::float_:
      return nb::float_(a.f);
    case ArgTag::bool_:
      return nb::bool_(a.b);
    case ArgTag::str:
      return nb::str(a.str);
    default:
      return nb::none();
  }
}

nb::dict describe(const Param& p) {
  nb::dict d;
  d["name"] = text(p.name);
  d["kind"] = kind_name(p.kind);
  d["tensor_class"] = class_name(p.cls);
  d["optional"] = p.optional;
  d["has_default"] = p.has_default;
  d["default"] = default_value(p.fallback);
  d["keyword_only"] = p.keyword_only;
  d["mutated"] = p.mutated;
  d["fixed_len"] = p.fixed_len;
  return d;
}

nb::dict describe(const OpDef& op) {
  const OpInfo& info = info_of(op);
  nb::dict d;
  d["name"] = op.name;
  d["version"] = op.version;
  d["sig"] = op.sig;
  d["doc"] = text(op.doc);
  d["examples"] = text(op.examples);
  d["reference"] = text(op.reference);
  nb::list where;
  if (op.where & kFunction) where.append("function");
  if (op.where & kMethod) where.append("method");
  if (op.where & kFunctional) where.append("functional");
  d["where"] = nb::tuple(where);
  nb::list aliases;
  for (const std::string& alias : aliases_of(op)) {
    aliases.append(alias.c_str());
  }
  d["aliases"] = nb::tuple(aliases);
  nb::list modules;
  for (const ModuleName& m : module_names_of(op)) {
    modules.append(nb::make_tuple(m.module.c_str(), m.name.c_str()));
  }
  d["modules"] = nb::tuple(modules);
  d["has_inplace"] = op.has_inplace;
  d["random"] = op.random;
  d["mutates"] = info.schema.mutates;
  d["data_dependent"] = op.data_dependent;
  d["autocast"] = policy_name(op.autocast);
  d["has_vjp"] = op.vjp != nullptr;
  d["has_decompose"] = op.decompose != nullptr;
  d["has_cpu_kernel"] = info.cpu != nullptr;
  nb::list params, outs, optional;
  for (int i = 0; i < info.schema.n; ++i) {
    params.append(describe(info.schema.params[i]));
  }
  for (int i = 0; i < info.schema.nouts; ++i) {
    outs.append(text(result_name(info.schema.outs[i])));
    if (info.schema.outs[i].ends_with('?')) optional.append(outs[i]);
  }
  d["parameters"] = params;
  d["outputs"] = outs;
  d["optional_outputs"] = optional;
  d["return_type"] =
      names_results(op) ? nb::object(nb::str(op.name)) : nb::object(nb::none());
  OpEntry entry = make_entry(op);
  d["signature"] = signature_text(entry).c_str();
  d["varargs"] = entry.varargs >= 0
                     ? nb::object(text(info.schema.params[entry.varargs].name))
                     : nb::object(nb::none());
  d["creates"] = entry.creates;
  d["takes_inplace"] = entry.takes_inplace;
  return d;
}

}  // namespace

void bind_op_table(nb::module_& m) {
  m.def(
      "op_table",
      [] {
        nb::list table;
        for (const OpDef* op : all_ops()) {
          if (!op->runs_graphs) table.append(describe(*op));
        }
        return table;
      },
      "All that the project knows of every op: a list of dicts.");
}

}  // namespace ferrule::python
