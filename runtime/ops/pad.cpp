// Padding: more elements at both ends of dimensions.
#include <vector>

#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

enum class PadMode { constant, reflect, replicate, circular };

PadMode mode_of(const OpCall& c) {
  constexpr std::string_view kNames[] = {"constant", "reflect", "replicate",
                                         "circular"};
  for (int k = 0; k < 4; ++k) {
    if (c.str(2) == kNames[k]) return static_cast<PadMode>(k);
  }
  c.fail<ValueError>(
      "mode must be 'constant', 'reflect', 'replicate' or 'circular', got '",
      c.str(2), "'");
}

// Throws unless dimension `d` has the elements that are repeated.
void check_source(const OpCall& c, PadMode mode, const Tensor& x, int d,
                  int64_t pad) {
  const int64_t n = x.shape()[d];
  const bool reflects = mode == PadMode::reflect;
  if (reflects ? pad >= n : mode == PadMode::circular && pad > n) {
    c.fail<ShapeError>("mode '", c.str(2), "' can pad dimension ", d,
                       " of shape ", x.shape(), " by at most ",
                       reflects ? n - 1 : n, ", got ", pad);
  }
  if (mode == PadMode::replicate && n == 0) {
    c.fail<ShapeError>("mode 'replicate' has nothing to repeat in dimension ",
                       d, " of shape ", x.shape());
  }
}

// What stands before (`after` false) or behind the elements of dimension `d`.
Tensor border(const OpCall& c, PadMode mode, const Tensor& x, int d, Int pad,
              bool after) {
  check_source(c, mode, x, d, pad.value);
  const Int n = size_of(x.impl(), d);
  IntList size = sizes_of(x.impl());
  size[d] = pad;
  switch (mode) {
    case PadMode::constant: {
      const Arg value = c.has(3) ? c.args[3] : Arg(0);
      return op::expand(op::full(IntList{}, value, x.dtype(), device_of(x)),
                        size);
    }
    case PadMode::reflect: {
      const Int from = after ? n - 1 - pad : Int(1);
      return op::flip(op::slice(x, d, from, from + pad), IntList{d});
    }
    case PadMode::replicate: {
      const Int at = after ? n - 1 : Int(0);
      return op::expand(op::slice(x, d, at, at + 1), size);
    }
    case PadMode::circular: {
      const Int from = after ? Int(0) : n - pad;
      return op::slice(x, d, from, from + pad);
    }
  }
  return {};
}

// A negative number of elements leaves some out.
Tensor pad_dim(const OpCall& c, PadMode mode, const Tensor& x, int d,
               Int before, Int after) {
  const Int n = size_of(x.impl(), d);
  const int64_t size = n.value;
  if (before.value < -size || after.value < -size ||
      size + before.value + after.value < 0) {
    c.fail<ShapeError>("pad (", before.value, ", ", after.value,
                       ") leaves out more than there is in dimension ", d,
                       " of shape ", c.in(0).sizes());
  }
  // What a graph computes from sizes may be of another sign there.
  const Int first = combine(IntOp::max, Int(0) - before, 0);
  const Int end = n + combine(IntOp::min, after, 0);
  const Tensor middle = op::slice(x, d, first, end);
  // As in PyTorch: what is left out takes no part in a circle, but serves as
  // mirror image and end.
  const Tensor& source = mode == PadMode::circular ? middle : x;
  std::vector<Tensor> parts;
  const auto add_border = [&](Int pad, bool is_after) {
    if (pad.value <= 0 && !pad.symbolic()) return;
    pad = combine(IntOp::max, pad, 0);
    parts.push_back(border(c, mode, source, d, pad, is_after));
  };
  add_border(before, false);
  parts.push_back(middle);
  add_border(after, true);
  return parts.size() == 1 ? parts[0] : op::cat(parts, d);
}

Results decompose_pad(OpCall& c) {
  const PadMode mode = mode_of(c);
  const auto pad = c.ints(1);
  const int n = static_cast<int>(pad.size());
  Tensor x = c.tensor(0);
  if (n % 2 != 0 || n / 2 > x.ndim()) {
    c.fail<ValueError>("pad must have two numbers for each of the last "
                       "dimensions, at most ",
                       2 * x.ndim(), " for shape ", x.shape(), ", got ",
                       dims_of(c, 1));
  }
  for (const Int& i : pad) {
    if (i.value > -(int64_t{1} << 31) && i.value < int64_t{1} << 31) continue;
    c.fail<ValueError>("pad must lie within 2147483647, got ", i.value);
  }
  if (mode != PadMode::constant && c.has(3)) {
    c.fail<ValueError>("mode '", c.str(2), "' takes no value, got ",
                       c.number(3));
  }
  for (int k = 0; k < n / 2; ++k) {
    const Int before = pad[2 * k], after = pad[2 * k + 1];
    const auto nothing = [](Int i) { return i.value == 0 && !i.symbolic(); };
    if (nothing(before) && nothing(after)) continue;
    x = pad_dim(c, mode, x, x.ndim() - 1 - k, before, after);
  }
  return one(x.same(c.tensor(0)) || x->root ? op::clone(x) : x);
}

#endif

}  // namespace

extern const OpDef pad_op = {
    .name = "pad",
    .sig = "input: Tensor, pad: int[], mode: str = \"constant\", "
           "value: Scalar? = None",
    .doc = FE_DOC(R"(More elements at both ends of the last dimensions.

Args:
    input: any shape.
    pad: how many before and behind the last dimension, then before and behind
        the one in front of it, and so on. Negative numbers leave elements out.
    mode: "constant"; "reflect" mirrors at the outermost element, which is not
        repeated; "replicate" repeats that element; "circular" goes on at the
        other end.
    value: the constant; None is 0.

Returns:
    A new tensor.

Raises:
    ShapeError: there are not as many elements as a mode repeats, or as are
        left out.
    ValueError: unknown mode, or `pad` has not two numbers a dimension.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[1, 2, 3]])
    >>> fe.nn.functional.pad(x, (2, 1)).tolist()
    [[0, 0, 1, 2, 3, 0]]
    >>> fe.nn.functional.pad(x, (2, 1), mode="reflect").tolist()
    [[3, 2, 1, 2, 3, 2]]

Source: torch.nn.functional.pad; numpy.pad.
)"),
    .examples = FE_DOC("f(2, 3), (1, 2)\n"
                       "f(2, 3, 4), (1, 0, 0, 2), \"constant\", 2.5\n"
                       "f(2, 3, 4), (-1, 2, 1, -2)\n"
                       "f(2, 2, 4), (3, 2), \"reflect\"\n"
                       "f(1, 3, 4), (1, -1, 2, 1), \"reflect\"\n"
                       "f(2, 1, 3), (1, 4, 2, 0), \"replicate\"\n"
                       "f(1, 2, 2, 3), (3, 1, 0, 2, 1, 1), \"circular\"\n"
                       "f(2, 3), ()\n"
                       "f(2, 0), (1, 1)"),
    .reference = FE_DOC("padded(input, pad, mode, value or 0)"),
    .where = kFunctional,
    .decompose = FE_GRAD(decompose_pad),
};

}  // namespace ferrule
