// One call of an op: binding arguments, shaping results, checks.
#include <algorithm>

#include "ferrule/op.h"

namespace ferrule {
namespace {

std::string_view kind_text(const Param& p) {
  switch (p.kind) {
    case ParamKind::tensor:
      return "a Tensor";
    case ParamKind::tensors:
      return "a list of Tensors";
    case ParamKind::operand:
      return "a Tensor or a number";
    case ParamKind::int_:
      return "an int";
    case ParamKind::float_:
      return "a float";
    case ParamKind::bool_:
      return "a bool";
    case ParamKind::ints:
      return p.fixed_len == 2 ? "an int or a pair of ints" : "a list of ints";
    case ParamKind::str:
      return "a str";
    case ParamKind::dtype:
      return "a dtype";
    case ParamKind::device:
      return "a device";
    case ParamKind::scalar:
      return "a number";
  }
  return "";
}

std::string_view tag_text(ArgTag t) {
  static constexpr std::string_view kText[] = {
      "None",    "a Tensor", "a list of Tensors", "an int",
      "a float", "a bool",   "a list of ints",    "a str",
      "a dtype", "a device"};
  return kText[static_cast<int>(t)];
}

bool fits(const Param& p, const Arg& a) {
  switch (p.kind) {
    case ParamKind::tensor:
      return a.tag == ArgTag::tensor;
    case ParamKind::tensors:
      return a.tag == ArgTag::tensors;
    case ParamKind::operand:
      return a.tag == ArgTag::tensor || a.is_number();
    case ParamKind::int_:
      return a.tag == ArgTag::int_;
    case ParamKind::float_:
      return a.tag == ArgTag::float_;
    case ParamKind::bool_:
      return a.tag == ArgTag::bool_;
    case ParamKind::ints:
      return a.tag == ArgTag::ints && (!p.fixed_len || a.n == p.fixed_len);
    case ParamKind::str:
      return a.tag == ArgTag::str;
    case ParamKind::dtype:
      return a.tag == ArgTag::dtype;
    case ParamKind::device:
      return a.tag == ArgTag::device;
    case ParamKind::scalar:
      return a.is_number();
  }
  return false;
}

void check_class(const OpDef& op, const Param& p, const TensorImpl* t) {
  bool ok = true;
  std::string_view want;
  switch (p.cls) {
    case TensorClass::any:
      return;
    case TensorClass::floating:
      ok = is_float(t->dtype) || (op.complex && is_complex(t->dtype));
      want = "a floating-point tensor";
      break;
    case TensorClass::integer:
      ok = is_integer(t->dtype);
      want = "an integer tensor";
      break;
    case TensorClass::boolean:
      ok = t->dtype == DType::bool_;
      want = "a bool tensor";
      break;
  }
  if (ok) return;
  std::string_view fix = p.cls == TensorClass::floating  ? "float"
                         : p.cls == TensorClass::integer ? "long"
                                                         : "bool";
  fail<DTypeError>("[", op.name, "] '", p.name, "' must be ", want, ", got ",
                   t->dtype, " of shape ", t->sizes(), "; convert it with .",
                   fix, "()");
}

}  // namespace

void OpCall::bind(const Arg* given, int n) {
  const Schema& s = info.schema;
  if (n > s.n) {
    fail<ValueError>("takes at most ", s.n, " arguments, got ", n);
  }
  for (int i = 0; i < s.n; ++i) {
    const Param& p = s.params[i];
    Arg& a = args[i];
    if (i < n && (given[i].tag != ArgTag::none || !p.has_default)) {
      a = given[i];
    } else {
      if (!p.has_default && !p.optional) {
        fail<ValueError>("missing argument '", p.name, "'");
      }
      if (p.has_default) a = p.fallback;
    }
    if (a.tag == ArgTag::none) {
      if (p.optional) continue;
      fail<DTypeError>("'", p.name, "' must be ", kind_text(p), ", got None");
    }
    if (p.kind == ParamKind::float_ && a.tag == ArgTag::int_) {
      a = Arg(static_cast<double>(a.i));
    } else if (p.kind == ParamKind::ints &&
               (a.tag == ArgTag::int_ ||
                (p.fixed_len && a.tag == ArgTag::ints && a.n == 1))) {
      // One number is a list of one; where two are wanted it counts for both.
      Int v = a.tag == ArgTag::int_ ? Int(a.i, a.n) : a.ints[0];
      if (npairs_ == kMaxPairs) {
        fail<RuntimeError>("too many lists that are given as one number");
      }
      Int* pair = pairs_[npairs_++];
      pair[0] = pair[1] = v;
      a = Arg(std::span<const Int>(pair, p.fixed_len ? 2 : 1));
    }
    if (!fits(p, a)) {
      if (p.fixed_len && a.tag == ArgTag::ints) {
        fail<ValueError>("'", p.name, "' must be ", kind_text(p), ", got ", a.n,
                         " ints");
      }
      fail<DTypeError>("'", p.name, "' must be ", kind_text(p), ", got ",
                       tag_text(a.tag));
    }
    if (a.tag == ArgTag::tensor) check_class(op, p, a.tensor);
  }
}

double OpCall::number(int i) const {
  const Arg& a = args[i];
  if (a.tag == ArgTag::int_) return static_cast<double>(a.i);
  return a.tag == ArgTag::bool_ ? a.b : a.f;
}

void OpCall::out(int i, DType dtype, std::span<const int64_t> shape) {
  nouts = std::max(nouts, i + 1);
  alias[i] = -1;
  TensorImpl*& t = outs[i];
  if (!t) {
    t = new_impl();
    t->device = device;
  } else if (!preset) {
    fail<RuntimeError>("infer shapes result ", i, " twice");
  }
  t->dtype = dtype;
  t->offset = 0;
  t->set_contiguous(shape);
}

void OpCall::view(int i, int input, std::span<const int64_t> shape,
                  std::span<const int64_t> strides, int64_t offset) {
  nouts = std::max(nouts, i + 1);
  alias[i] = static_cast<int8_t>(input);
  TensorImpl*& t = outs[i];
  if (!t) t = new_view(args[input].tensor);
  t->dtype = args[input].tensor->dtype;
  t->set_geometry(shape, strides, offset);
}

int OpCall::wrap_dim(const OpCall& c, int64_t dim, int ndim) {
  int64_t n = std::max(ndim, 1);  // a 0-d tensor has dims -1 and 0, as in torch
  if (dim < -n || dim >= n) {
    c.fail<IndexError>("dim ", dim, " is out of range for ", ndim,
                       " dimensions; valid: ", -n, "..", n - 1);
  }
  return static_cast<int>(dim < 0 ? dim + n : dim);
}

int OpCall::dim(int arg, int ndim) const {
  int64_t d = args[arg].i;
  int64_t n = std::max(ndim, 1);
  if (d < -n || d >= n) {
    // The shape of the first tensor says most.
    for (int k = 0; k < info.schema.n; ++k) {
      if (!is_tensor(k)) continue;
      fail<IndexError>(info.schema.params[arg].name, " ", d,
                       " is out of range for shape ", in(k).sizes(),
                       "; valid: ", -n, "..", n - 1);
    }
  }
  return wrap_dim(*this, d, ndim);
}

DType OpCall::promoted(std::span<const int> operands, bool to_float) const {
  bool any = false;
  DType t = DType::bool_;
  for (int k : operands) {
    if (!is_tensor(k)) continue;
    t = any ? promote(t, in(k).dtype) : in(k).dtype;
    any = true;
  }
  for (int k : operands) {
    switch (args[k].tag) {
      case ArgTag::int_:
        t = any ? promote(t, ScalarKind::int_) : promote(t, DType::i64);
        break;
      case ArgTag::float_:
        t = any ? promote(t, ScalarKind::float_) : promote(t, DType::f32);
        break;
      default:
        break;
    }
  }
  if (to_float && t < DType::f16) t = DType::f32;
  return t;
}

void OpCall::report(const char* text, int64_t value, int64_t limit,
                    ErrorKind kind) {
  // Two threads may both find an error: the one that claims `reported_` first
  // writes the numbers; raise_reported runs after all have finished.
  const char* none = nullptr;
  if (reported_.compare_exchange_strong(none, text)) {
    reported_value_ = value;
    reported_limit_ = limit;
    reported_kind_ = kind;
  }
}

void OpCall::raise_reported() const {
  const char* text = reported_.load(std::memory_order_acquire);
  if (!text) return;
  // The text may name the op that this one is a part of.
  std::string message =
      text[0] == '['
          ? std::string()
          : concat("[", op.name, in_place && op.has_inplace ? "_] " : "] ");
  int64_t numbers[] = {reported_value_, reported_limit_};
  int k = 0;
  for (const char* p = text; *p; ++p) {
    if (p[0] == '{' && p[1] == '}' && k < 2) {
      append_int(message, numbers[k++]);
      ++p;
    } else {
      message += *p;
    }
  }
  throw_error(reported_kind_, std::initializer_list<Piece>{Piece(message)});
}

bool writes(const OpInfo& info, const Arg* args) {
  if (!info.schema.mutates) return false;
  const int training = info.schema.find("training");
  return training < 0 || args[training].tag != ArgTag::bool_ ||
         args[training].b;
}

Dims broadcast(const OpCall& c, std::span<const int64_t> a,
               std::span<const int64_t> b) {
  Dims r;
  r.n = static_cast<int>(std::max(a.size(), b.size()));
  for (int i = 0; i < r.n; ++i) {
    int64_t da = i < static_cast<int>(a.size()) ? a[a.size() - 1 - i] : 1;
    int64_t db = i < static_cast<int>(b.size()) ? b[b.size() - 1 - i] : 1;
    if (da != db && da != 1 && db != 1) {
      c.fail<ShapeError>("cannot broadcast shapes ", a, " and ", b, ": ", da,
                         " and ", db, " differ in dimension ", -1 - i,
                         " and neither is 1");
    }
    r[r.n - 1 - i] = da == 1 ? db : da;
  }
  return r;
}

}  // namespace ferrule
