// Attention of four-dimensional operands, softmax(Q K^T) V, and its gradients.
// A second result is one logsumexp a row, all that the gradient needs of the
// probabilities.
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/attention_parts.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

// Checks query, key, value from argument `first` on, and the mask.
void check_attention(const OpCall& c, int first, int mask) {
  require_same_dtype(c, {first, first + 1, first + 2});
  const auto fail_shapes = [&](const char* what) {
    c.fail<ShapeError>(what, ": query ", c.in(first).sizes(), ", key ",
                       c.in(first + 1).sizes(), ", value ",
                       c.in(first + 2).sizes());
  };
  for (int i = first; i < first + 3; ++i) {
    if (c.in(i).ndim != 4) {
      fail_shapes("operands are (batch, heads, rows, features)");
    }
  }
  const auto q = c.in(first).sizes();
  const auto k = c.in(first + 1).sizes();
  const auto v = c.in(first + 2).sizes();
  if (q[0] != k[0] || k[0] != v[0]) fail_shapes("batch sizes differ");
  if (k[1] != v[1]) fail_shapes("key and value differ in heads");
  if (q[1] != k[1] && (k[1] == 0 || q[1] % k[1] != 0)) {
    fail_shapes("heads of query are no multiple of those of key");
  }
  if (k[2] != v[2]) fail_shapes("key and value differ in length");
  if (q[3] != k[3]) fail_shapes("query and key differ in features");
  if (!c.is_tensor(mask)) return;
  const TensorImpl& m = c.in(mask);
  if (m.dtype != DType::bool_ && m.dtype != c.in(first).dtype) {
    c.fail<DTypeError>("'mask' must be bool or ", c.in(first).dtype, ", got ",
                       m.dtype);
  }
  const int64_t want[] = {q[0], q[1], q[2], k[2]};
  bool fits = m.ndim == 4;
  for (int d = 0; fits && d < 4; ++d) {
    fits = m.shape[d] == 1 || m.shape[d] == want[d];
  }
  if (!fits) {
    c.fail<ShapeError>("'mask' has shape ", m.sizes(),
                       ", which does not broadcast to the scores' ",
                       std::span(want));
  }
}

// Shape of the result of attention, from query and value.
Dims attended_shape(const TensorImpl& query, const TensorImpl& value) {
  Dims shape(query.sizes());
  shape[3] = value.shape[3];
  return shape;
}

void infer_attention(OpCall& c) {
  check_attention(c, 0, 3);
  const Dims shape = attended_shape(c.in(0), c.in(2));
  c.compute = c.in(0).dtype;
  c.out(0, c.compute, shape);
  c.out(1, accumulator(c.compute), {shape.v, 3});
}

void infer_attention_backward(OpCall& c) {
  check_attention(c, 1, 6);
  const Dims shape = attended_shape(c.in(1), c.in(3));
  const auto require = [&](int i, std::span<const int64_t> want, DType t) {
    if (!c.is_tensor(i)) return;
    const auto& name = c.info.schema.params[i].name;
    if (!(Dims(c.in(i).sizes()) == Dims(want))) {
      c.fail<ShapeError>("'", name, "' has shape ", c.in(i).sizes(),
                         ", expected ", want);
    }
    if (c.in(i).dtype != t) {
      c.fail<DTypeError>("'", name, "' must be ", t, ", got ", c.in(i).dtype);
    }
  };
  c.compute = c.in(1).dtype;
  require(0, shape, c.compute);
  require(4, shape, c.compute);
  require(5, {shape.v, 3}, accumulator(c.compute));
  require(9, {shape.v, 3}, accumulator(c.compute));
  for (int i = 0; i < 3; ++i) c.out_like(i, 1 + i);
}

[[maybe_unused]] Results decompose_attention(OpCall& c) {
  const AttentionParts p = attention_parts(
      c.tensor(0), c.tensor(1), c.tensor(2), c.tensor(3), c.args[4], c.args[5]);
  const Tensor scores = p.scores();
  Tensor sum = op::logsumexp(scores, IntList{-1});
  sum = op::where(op::eq(sum, -kInfinity), kInfinity, sum);
  const Tensor share = op::exp(op::sub(scores, op::unsqueeze(sum, -1)));
  Results r;
  r.n = 2;
  r[0] = op::cast(op::matmul(share, p.value), c.in(0).dtype);
  r[1] = sum;
  return r;
}

// Probabilities of the forward pass and the gradient of the scores:
// P = exp(S - logsumexp), dS = P (dO V^T - rowsum(dO O) + dlogsumexp).
struct ScoreGradient {
  Tensor share, scores;
};
[[maybe_unused]] ScoreGradient score_gradient(const AttentionParts& p,
                                              const Tensor& grad,
                                              const Tensor& out,
                                              const Tensor& logsumexp,
                                              const Tensor& logsumexp_grad) {
  const DType t = logsumexp.dtype();
  const Tensor g = op::cast(grad, t);
  Tensor offset = op::sum(op::mul(g, op::cast(out, t)), IntList{-1});
  if (logsumexp_grad) offset = op::sub(offset, logsumexp_grad);
  ScoreGradient r;
  r.share = op::exp(op::sub(p.scores(), op::unsqueeze(logsumexp, -1)));
  r.scores = op::mul(r.share, op::sub(op::matmul(g, p.value, false, true),
                                      op::unsqueeze(offset, -1)));
  return r;
}

[[maybe_unused]] Results decompose_attention_backward(OpCall& c) {
  const AttentionParts p = attention_parts(
      c.tensor(1), c.tensor(2), c.tensor(3), c.tensor(6), c.args[7], c.args[8]);
  const Tensor grad = c.tensor(0);
  const ScoreGradient d =
      score_gradient(p, grad, c.tensor(4), c.tensor(5), c.tensor(9));
  const DType t = c.in(1).dtype;
  const Tensor scaled = op::mul(d.scores, p.scale);
  const Tensor wide = op::cast(grad, d.share.dtype());
  Results r;
  r.n = 3;
  r[0] = op::cast(op::matmul(scaled, p.key), t);
  r[1] = op::cast(p.folded(op::matmul(scaled, p.query, true)), t);
  r[2] = op::cast(p.folded(op::matmul(d.share, wide, true)), t);
  return r;
}

[[maybe_unused]] void attention_vjp(Vjp& v) {
  const Tensor lse_grad = v.has_grad(1) ? v.grad(1) : Tensor();
  const Tensor out = v.out(0);
  const Tensor grad = v.has_grad(0) ? v.grad(0) : op::zeros_like(out);
  const Tensor mask = v.in(3);
  if (v.needs(0) || v.needs(1) || v.needs(2)) {
    Results r = op::attention_backward.multi(grad, v.in(0), v.in(1), v.in(2),
                                             out, v.out(1), mask, v.args[4],
                                             v.args[5], lse_grad);
    for (int i = 0; i < 3; ++i) v.set(i, r[i]);
  }
  // That of a mask is as large as the scores, and seldom wanted.
  if (v.needs(3)) {
    const AttentionParts p =
        attention_parts(v.in(0), v.in(1), v.in(2), mask, v.args[4], v.args[5]);
    v.set(3, score_gradient(p, grad, out, v.out(1), lse_grad).scores);
  }
}

// Samples are more of what the first dimension counts; so are their masks,
// unless all share one that broadcasts.
[[maybe_unused]] Results batch_of_attention(Batch& b, int query, int mask) {
  if (b.has(mask)) {
    if (b.batched(mask) || b.dim(mask, 0).value != 1) {
      IntList shape{b.size};
      for (const Int n : b.sizes(mask)) shape.push(n);
      shape[1] = b.dim(query, 0);
      b.set(mask, op::expand(b.whole(mask), shape));
      b.set(mask, b.within(mask, 0));
    }
  }
  for (int i = 0; i < b.info.schema.n; ++i) {
    if (b.has(i) && i != mask) b.set(i, b.within(i, 0));
  }
  return b.run();
}
[[maybe_unused]] Results batch_attention(Batch& b) {
  return batch_of_attention(b, 0, 3);
}
[[maybe_unused]] Results batch_attention_backward(Batch& b) {
  return batch_of_attention(b, 1, 6);
}

// Query times key, and weights times value.
[[maybe_unused]] int64_t macs_attention(OpDef::Shapes in, OpDef::Shapes) {
  const Dims &query = in[0], &key = in[1], &value = in[2];
  const int last = query.size() - 1;
  return checked_numel(query) / std::max<int64_t>(query[last], 1) *
         key[last - 1] * (query[last] + value[last]);
}

}  // namespace

extern const OpDef attention_op = {
    .name = "attention",
    .sig = "query: Tensor[float], key: Tensor[float], value: Tensor[float], "
           "mask: Tensor? = None, is_causal: bool = False, "
           "scale: float? = None -> out, logsumexp",
    .doc = FE_DOC(R"(Attention of four-dimensional operands.

Args:
    query: shape (batch, heads, L, E).
    key: shape (batch, shared, S, E); `shared` divides `heads`.
    value: shape (batch, shared, S, Ev).
    mask: bool or of the dtype of `query`; (batch, heads, L, S), each of which
        may be 1.
    is_causal: query i sees keys 0..i only.
    scale: factor of the scores; None is 1 / sqrt(E).

Returns:
    out (batch, heads, L, Ev), and logsumexp (batch, heads, L) of every row of
    scores, in float32 for 16-bit operands; infinity for a row without keys.

Raises:
    ShapeError: the shapes do not fit.
    DTypeError: the dtypes do not.

Example:
    >>> import ferrule as fe
    >>> q = fe.zeros((1, 1, 1, 2))
    >>> out, logsumexp = fe.ops.attention(q, q, fe.ones((1, 1, 1, 3)))
    >>> out.tolist(), logsumexp.tolist()
    ([[[[1.0, 1.0, 1.0]]]], [[[0.0]]])

Source: see scaled_dot_product_attention.
)"),
    .examples = FE_DOC(
        "f(1, 2, 3, 4), f(1, 2, 5, 4), f(1, 2, 5, 6)\n"
        "f(1, 2, 3, 4), f(1, 1, 5, 4), f(1, 1, 5, 2), b(1, 1, 3, 5)\n"
        "f(1, 1, 5, 2), f(1, 1, 3, 2), f(1, 1, 3, 2), is_causal=True\n"
        "f(2, 1, 2, 3), f(2, 1, 3, 3), f(2, 1, 3, 1), f(2, 1, 1, 3), "
        "scale=0.4\n"
        "f(1, 2, 66, 10), f(1, 2, 30, 10), f(1, 2, 30, 8), b(1, 1, 66, 1)\n"
        "f(1, 2, 140, 3), f(1, 1, 270, 3), f(1, 1, 270, 2), f(1, 1, 1, 270)\n"
        "f(1, 1, 140, 4), f(1, 1, 300, 4), f(1, 1, 300, 6), is_causal=True"),
    .where = kInternal,
    .autocast = Autocast::lower,
    .saves = "query key value mask out logsumexp",
    .infer = infer_attention,
    .vjp = FE_GRAD(attention_vjp),
    .decompose = FE_GRAD(decompose_attention),
    .batch = FE_GRAD(batch_attention),
    .macs = FE_GRAD(macs_attention),
};

extern const OpDef attention_backward_op = {
    .name = "attention_backward",
    .sig = "grad: Tensor[float], query: Tensor[float], key: Tensor[float], "
           "value: Tensor[float], out: Tensor[float], "
           "logsumexp: Tensor[float], mask: Tensor? = None, "
           "is_causal: bool = False, scale: float? = None, "
           "logsumexp_grad: Tensor[float]? = None "
           "-> query_grad, key_grad, value_grad",
    .doc = FE_DOC(R"(Gradients of attention; its probabilities are made anew.

Args:
    grad: gradient of `out`.
    query, key, value, mask, is_causal, scale: as for attention.
    out, logsumexp: its results.
    logsumexp_grad: gradient of `logsumexp`; None is zero.

Returns:
    The gradients of query, key and value.

Raises:
    ShapeError: the shapes do not fit.
    DTypeError: the dtypes do not.

Example:
    >>> import ferrule as fe
    >>> q, v = fe.zeros((1, 1, 1, 2)), fe.ones((1, 1, 1, 3))
    >>> out, logsumexp = fe.ops.attention(q, q, v)
    >>> grads = fe.ops.attention_backward(v, q, q, v, out, logsumexp)
    >>> grads[2].tolist()
    [[[[1.0, 1.0, 1.0]]]]

Source: Dao, "FlashAttention-2", 2023, algorithm 2.
)"),
    .examples = FE_DOC(
        "f(1, 1, 3, 2), f(1, 1, 3, 4), f(1, 1, 2, 4), f(1, 1, 2, 2), "
        "f(1, 1, 3, 2), p(1, 1, 3)\n"
        "f(1, 2, 3, 2), f(1, 2, 3, 4), f(1, 1, 5, 4), f(1, 1, 5, 2), "
        "f(1, 2, 3, 2), p(1, 2, 3), b(1, 1, 3, 5), logsumexp_grad=f(1, 2, 3)\n"
        "f(2, 1, 4, 2), f(2, 1, 4, 1), f(2, 1, 3, 1), f(2, 1, 3, 2), "
        "f(2, 1, 4, 2), p(2, 1, 4), is_causal=True, scale=0.5\n"
        "f(1, 1, 2, 2), f(1, 1, 2, 1), f(1, 1, 3, 1), f(1, 1, 3, 2), "
        "f(1, 1, 2, 2), p(1, 1, 2), f(1, 1, 1, 3)\n"
        "f(1, 2, 140, 5), f(1, 2, 140, 5), f(1, 1, 270, 5), f(1, 1, 270, 5), "
        "f(1, 2, 140, 5), 5 + p(1, 2, 140), b(1, 2, 140, 1)\n"
        "f(1, 1, 140, 4), f(1, 1, 140, 6), f(1, 1, 300, 6), f(1, 1, 300, 4), "
        "f(1, 1, 140, 4), 5 + p(1, 1, 140), is_causal=True"),
    .where = kInternal,
    .saves = "grad query key value out logsumexp mask logsumexp_grad",
    .infer = infer_attention_backward,
    .decompose = FE_GRAD(decompose_attention_backward),
    .batch = FE_GRAD(batch_attention_backward),
};

}  // namespace ferrule
