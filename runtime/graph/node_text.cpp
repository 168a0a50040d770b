// Parts of nodes as text.
#include "runtime/graph/node_text.h"

namespace ferrule {

std::string value_name(const Graph& g, int32_t id) {
  if (id < 0) return "None";
  return g.values[id].name.empty() ? concat("%", id) : g.values[id].name;
}

std::string arg_text(const Graph& g, const NodeArg& a) {
  switch (a.tag) {
    case ArgTag::none:
      return "None";
    case ArgTag::tensor:
      return value_name(g, a.value);
    case ArgTag::tensors: {
      std::string out = "[";
      for (int32_t v : a.values) {
        out += concat(out.size() > 1 ? ", " : "", value_name(g, v));
      }
      return out + "]";
    }
    case ArgTag::int_:
      return concat(a.i, a.expr >= 0 ? "*" : "");
    case ArgTag::float_:
      return concat(a.f);
    case ArgTag::bool_:
      return concat(a.b);
    case ArgTag::ints: {
      std::string out = "(";
      for (const Int& v : a.ints) {
        out +=
            concat(out.size() > 1 ? ", " : "", v.value, v.expr >= 0 ? "*" : "");
      }
      return out + ")";
    }
    case ArgTag::str:
      return concat("'", a.str, "'");
    case ArgTag::dtype:
      return concat(a.dtype);
    case ArgTag::device:
      return concat(a.device);
  }
  return {};
}

}  // namespace ferrule
