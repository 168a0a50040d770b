// Signatures as text: for errors, help() and inspect.signature.
#include "binder.h"

namespace ferrule::python {
namespace {

std::string_view type_text(const Param& p) {
  switch (p.kind) {
    case ParamKind::tensor:
      return "Tensor";
    case ParamKind::tensors:
      return "list[Tensor]";
    case ParamKind::operand:
      return "Tensor | number";
    case ParamKind::int_:
      return "int";
    case ParamKind::float_:
      return "float";
    case ParamKind::bool_:
      return "bool";
    case ParamKind::ints:
      return p.fixed_len ? "int | tuple[int, int]" : "int | tuple[int, ...]";
    case ParamKind::str:
      return "str";
    case ParamKind::dtype:
      return "DType";
    case ParamKind::device:
      return "Device | str";
    case ParamKind::scalar:
      return "number";
  }
  return "";
}

void append_default(std::string& out, const Arg& a) {
  switch (a.tag) {
    case ArgTag::int_:
      append(out, a.i);
      break;
    case ArgTag::float_:
      append(out, a.f);
      break;
    case ArgTag::bool_:
      append(out, a.b);
      break;
    case ArgTag::str:
      append(out, "'");
      append(out, a.str);
      append(out, "'");
      break;
    default:
      append(out, "None");
  }
}

}  // namespace

std::string signature_text(const OpEntry& entry) {
  const Schema& s = entry.info->schema;
  std::string out = concat(entry.op->name, entry.in_place ? "_(" : "(");
  for (int i = 0; i < s.n; ++i) {
    const Param& p = s.params[i];
    if (i) out += ", ";
    if (p.keyword_only && i == s.positional) out += "*, ";
    append(out, p.name);
    out += ": ";
    append(out, type_text(p));
    if (p.optional) out += " | None";
    if (p.has_default) {
      out += " = ";
      append_default(out, p.fallback);
    }
  }
  if (entry.takes_inplace) out += ", inplace: bool = False";
  if (entry.op->random) {
    if (s.n) out += ", ";
    if (s.positional == s.n) out += "*, ";
    out += "generator: Generator | None = None";
  }
  return out + ")";
}

std::string text_signature(const OpEntry& entry, bool method) {
  const Schema& s = entry.info->schema;
  std::string out = method ? "($self" : "(";
  // Python allows no default before a parameter that has none.
  int required = 0;
  for (int i = 0; i < s.positional; ++i) {
    if (!s.params[i].has_default && !s.params[i].optional) required = i + 1;
  }
  for (int i = method; i < s.n; ++i) {
    const Param& p = s.params[i];
    if (i) out += ", ";
    if (p.keyword_only && i == s.positional) out += "*, ";
    append(out, p.name);
    if (i < required) continue;
    if (p.has_default) {
      out += "=";
      append_default(out, p.fallback);
    } else if (p.optional) {
      out += "=None";
    }
  }
  if (entry.takes_inplace) out += ", inplace=False";
  if (entry.op->random) {
    if (s.positional == s.n) out += ", *";
    out += ", generator=None";
  }
  return out + ")";
}

}  // namespace ferrule::python
