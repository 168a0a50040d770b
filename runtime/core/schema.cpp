// Signature text -> Schema.
#include "runtime/core/schema.h"

#include <charconv>
#include <cstdlib>
#include <string>

namespace ferrule {
namespace {

std::string_view trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\n')) {
    s.remove_prefix(1);
  }
  while (!s.empty() && (s.back() == ' ' || s.back() == '\n')) {
    s.remove_suffix(1);
  }
  return s;
}

struct TypeName {
  std::string_view text;
  ParamKind kind;
  TensorClass cls = TensorClass::any;
};
constexpr TypeName kTypes[] = {
    {"Tensor[float]", ParamKind::tensor, TensorClass::floating},
    {"Tensor[int]", ParamKind::tensor, TensorClass::integer},
    {"Tensor[bool]", ParamKind::tensor, TensorClass::boolean},
    {"Tensor[]", ParamKind::tensors},
    {"Tensor", ParamKind::tensor},
    {"Operand", ParamKind::operand},
    {"int[2]", ParamKind::ints},
    {"int[]", ParamKind::ints},
    {"int", ParamKind::int_},
    {"float", ParamKind::float_},
    {"bool", ParamKind::bool_},
    {"str", ParamKind::str},
    {"dtype", ParamKind::dtype},
    {"device", ParamKind::device},
    {"Scalar", ParamKind::scalar},
};

Arg parse_default(const OpDef& op, std::string_view s) {
  if (s == "None") return Arg();
  if (s == "True") return Arg(true);
  if (s == "False") return Arg(false);
  if (s.size() >= 2 && s.front() == '"') {
    return Arg(intern(s.substr(1, s.size() - 2)));
  }
  int64_t i = 0;
  auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), i);
  if (error == std::errc() && end == s.data() + s.size()) return Arg(i);
  std::string text(s);
  char* stop = nullptr;
  double f = std::strtod(text.c_str(), &stop);
  if (stop == text.c_str() + text.size() && !text.empty()) return Arg(f);
  fail<ValueError>("[", op.name, "] signature: bad default '", s, "'");
}

Param parse_param(const OpDef& op, std::string_view s) {
  Param p;
  size_t colon = s.find(':');
  if (colon == std::string_view::npos) {
    fail<ValueError>("[", op.name, "] signature: no type in '", s, "'");
  }
  p.name = trim(s.substr(0, colon));
  std::string_view type = trim(s.substr(colon + 1));
  if (size_t eq = type.find('='); eq != std::string_view::npos) {
    p.has_default = true;
    p.fallback = parse_default(op, trim(type.substr(eq + 1)));
    type = trim(type.substr(0, eq));
  }
  if (type.ends_with('?')) {
    p.optional = true;
    type.remove_suffix(1);
  }
  if (type.ends_with('!')) {
    p.mutated = true;
    type.remove_suffix(1);
  }
  for (const TypeName& t : kTypes) {
    if (t.text != type) continue;
    p.kind = t.kind;
    p.cls = t.cls;
    if (type == "int[2]") p.fixed_len = 2;
    return p;
  }
  fail<ValueError>("[", op.name, "] signature: unknown type '", type, "'");
}

}  // namespace

int Schema::find(std::string_view name) const {
  for (int i = 0; i < n; ++i) {
    if (params[i].name == name) return i;
  }
  return -1;
}

Schema parse_schema(const OpDef& op) {
  Schema s;
  std::string_view text = op.sig;
  if (size_t arrow = text.find("->"); arrow != std::string_view::npos) {
    std::string_view outs = text.substr(arrow + 2);
    text = text.substr(0, arrow);
    s.nouts = 0;
    while (!trim(outs).empty() && s.nouts < kMaxOuts) {
      size_t comma = outs.find(',');
      s.outs[s.nouts++] = trim(outs.substr(0, comma));
      outs = comma == std::string_view::npos ? "" : outs.substr(comma + 1);
    }
  } else {
    s.outs[0] = "out";
  }
  bool keyword_only = false;
  while (!trim(text).empty()) {
    size_t comma = text.find(',');
    std::string_view piece = trim(text.substr(0, comma));
    text = comma == std::string_view::npos ? "" : text.substr(comma + 1);
    if (piece == "*") {
      keyword_only = true;
      continue;
    }
    if (s.n == kMaxArgs) {
      fail<ValueError>("[", op.name, "] signature: more than ", kMaxArgs,
                       " parameters");
    }
    Param& p = s.params[s.n++];
    p = parse_param(op, piece);
    p.keyword_only = keyword_only;
    s.mutates |= p.mutated;
    if (!keyword_only) s.positional = s.n;
    if (!p.has_default) s.required = s.n;
  }
  return s;
}

}  // namespace ferrule
