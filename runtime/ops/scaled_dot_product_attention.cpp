// Attention as users call it: checks the operands, brings them to four
// dimensions, and leaves the work to `attention`.
#include <cmath>

#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/attention_parts.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

// Sizes before the last `n` dimensions.
std::span<const int64_t> leading(const TensorImpl& t, int n) {
  return t.sizes().first(t.ndim - n);
}

// Checks the operands; gives the shape before (rows, features).
Dims check_operands(const OpCall& c) {
  require_same_dtype(c, {0, 1, 2});
  const auto& params = c.info.schema.params;
  const bool grouped = c.b(7);
  for (int i = 0; i < 3; ++i) {
    check_floating(c, i);
    if (c.in(i).ndim < (grouped ? 3 : 2)) {
      c.fail<ShapeError>(
          "'", params[i].name, "' has shape ", c.in(i).sizes(), ", expected ",
          grouped ? "(..., heads, rows, features)" : "(..., rows, features)");
    }
  }
  const TensorImpl &q = c.in(0), &k = c.in(1), &v = c.in(2);
  if (q.shape[q.ndim - 1] != k.shape[k.ndim - 1]) {
    c.fail<ShapeError>("query ", q.sizes(), " and key ", k.sizes(),
                       " differ in features, their last dimension");
  }
  if (k.shape[k.ndim - 2] != v.shape[v.ndim - 2]) {
    c.fail<ShapeError>("key ", k.sizes(), " and value ", v.sizes(),
                       " differ in length, their last dimension but one");
  }
  if (c.f(4) < 0 || c.f(4) > 1 || std::isnan(c.f(4))) {
    c.fail<ValueError>("dropout_p must be a probability in 0..1, got ", c.f(4));
  }
  if (c.b(5) && c.is_tensor(3)) {
    c.fail<ValueError>("is_causal=True is a mask of its own; leave attn_mask "
                       "out, or give a mask that is causal");
  }
  if (!grouped) {
    return broadcast(c, broadcast(c, leading(q, 2), leading(k, 2)),
                     leading(v, 2));
  }
  const int64_t heads = q.shape[q.ndim - 3];
  const int64_t shared = k.shape[k.ndim - 3];
  if (shared != v.shape[v.ndim - 3] || shared == 0 || heads % shared != 0) {
    c.fail<ShapeError>("enable_gqa: heads of key and value must be equal and "
                       "divide those of query; query ",
                       q.sizes(), ", key ", k.sizes(), ", value ", v.sizes());
  }
  Dims lead =
      broadcast(c, broadcast(c, leading(q, 3), leading(k, 3)), leading(v, 3));
  lead.push(heads);
  return lead;
}

#ifndef FE_RUNTIME_ONLY

// As (batch, heads, n, m), repeated where `lead` is larger; `lead` may be one
// of ones. Views, but where several dimensions become the batch.
Tensor to_four(Tensor t, IntList lead) {
  IntList s = sizes_of(t.impl());
  IntList full = lead;
  full.push(s[s.n - 2]);
  full.push(s[s.n - 1]);
  bool same = full.n == s.n;
  for (int d = 0; same && d < full.n; ++d) same = full[d].value == s[d].value;
  if (!same) t = op::expand(t, full);
  if (lead.n == 2) return t;
  if (lead.n == 1) return op::unsqueeze(t, 0);
  if (lead.n == 0) return op::unsqueeze(op::unsqueeze(t, 0), 0);
  Int batch = 1;
  for (int d = 0; d + 1 < lead.n; ++d) batch = batch * lead[d];
  return op::reshape(t,
                     IntList{batch, lead[lead.n - 1], s[s.n - 2], s[s.n - 1]});
}

// The mask as (1 or batch, 1 or heads, 1 or L, 1 or S).
Tensor mask_to_four(const OpCall& c, const IntList& lead) {
  Tensor mask = c.tensor(3);
  if (mask.dtype() != DType::bool_) mask = op::cast(mask, c.in(0).dtype);
  if (mask.ndim() > 4 && lead.n + 2 == mask.ndim()) return to_four(mask, lead);
  while (mask.ndim() < 4 && lead.n <= 2) mask = op::unsqueeze(mask, 0);
  while (mask.ndim() < lead.n + 2) mask = op::unsqueeze(mask, 0);
  return mask.ndim() > 4 ? to_four(mask, lead) : mask;
}

void check_mask(const OpCall& c, const Dims& lead) {
  const TensorImpl& m = c.in(3);
  const DType t = c.in(0).dtype;
  if (m.dtype != DType::bool_ && m.dtype != t &&
      !(m.dtype == DType::f32 && accumulator(t) == DType::f32)) {
    c.fail<DTypeError>("'attn_mask' must be bool or ", t, ", got ", m.dtype);
  }
  Dims want = lead;
  want.push(c.in(0).shape[c.in(0).ndim - 2]);
  want.push(c.in(1).shape[c.in(1).ndim - 2]);
  bool fits = m.ndim <= want.n;
  for (int d = 1; fits && d <= m.ndim; ++d) {
    const int64_t n = m.shape[m.ndim - d];
    fits = n == 1 || n == want[want.n - d];
  }
  if (!fits) {
    c.fail<ShapeError>("attn_mask of shape ", m.sizes(),
                       " does not broadcast to the scores' shape ", want);
  }
}

// The sizes of `dims`, with expressions where operand `i` has them.
IntList sizes_in(const OpCall& c, const Dims& dims) {
  IntList r;
  for (int d = 0; d < dims.n; ++d) {
    Int size = dims[d];
    for (int i = 0; i < 3 && !size.symbolic(); ++i) {
      const int at = c.in(i).ndim - 2 - dims.n + d;
      if (at < 0 || c.in(i).shape[at] != dims[d]) continue;
      size = size_of(&c.in(i), at);
    }
    r.push(size);
  }
  return r;
}

// Softmax of rows; zeros where everything is hidden.
Tensor softmax_of_shown(const Tensor& scores) {
  if (scores.size(3) == 0) return scores;
  const Tensor shown = op::ne(op::amax(scores, IntList{-1}, true), -kInfinity);
  const Tensor share = op::softmax(op::where(shown, scores, 0.0), -1);
  return op::where(shown, share, 0.0);
}

Results decompose_sdpa(OpCall& c) {
  const Dims lead_dims = check_operands(c);
  if (c.is_tensor(3)) check_mask(c, lead_dims);
  IntList lead = sizes_in(c, lead_dims);
  IntList shared = lead;
  if (c.b(7)) shared[shared.n - 1] = size_of(&c.in(1), c.in(1).ndim - 3);
  const Tensor q = to_four(c.tensor(0), lead);
  const Tensor k = to_four(c.tensor(1), shared);
  const Tensor v = to_four(c.tensor(2), shared);
  const Tensor mask = c.is_tensor(3) ? mask_to_four(c, lead) : Tensor();
  Tensor out;
  if (c.f(4) == 0) {
    out = op::attention(q, k, v, mask, c.args[5], c.args[6]);
  } else {
    // Which probabilities are dropped is kept element by element, so there are
    // as many elements in memory anyway.
    const AttentionParts p =
        attention_parts(q, k, v, mask, c.args[5], c.args[6]);
    const Tensor kept = op::dropout(softmax_of_shown(p.scores()), c.f(4));
    out = op::cast(op::matmul(kept, p.value), q.dtype());
  }
  if (lead.n == 2) return one(out);
  IntList shape = lead;
  shape.push(size_of(out.impl(), 2));
  shape.push(size_of(out.impl(), 3));
  return one(op::reshape(out, shape));
}

#endif

}  // namespace

extern const OpDef scaled_dot_product_attention_op = {
    .name = "scaled_dot_product_attention",
    .sig = "query: Tensor[float], key: Tensor[float], value: Tensor[float], "
           "attn_mask: Tensor? = None, dropout_p: float = 0.0, "
           "is_causal: bool = False, scale: float? = None, "
           "enable_gqa: bool = False",
    .doc = FE_DOC(R"(Attention: softmax(query key^T scale + mask) value.

The scores are made block by block and never stand in memory as a whole, unless
`dropout_p` is more than 0.

Args:
    query: shape (..., L, E).
    key: shape (..., S, E).
    value: shape (..., S, Ev). Leading dimensions broadcast.
    attn_mask: bool, True where a key takes part; or of the dtype of `query`,
        added to the scores. Broadcasts to (..., L, S).
    dropout_p: probability with which an entry of the softmax becomes 0. Drops
        whenever it is more than 0; pass 0.0 to evaluate a model.
    is_causal: query i sees keys 0..i only.
    scale: factor of the scores; None is 1 / sqrt(E).
    enable_gqa: the third dimension from the end are heads, and each of key and
        value serves as many of query as there are more of these.

Returns:
    Shape (..., L, Ev). A query that sees no key gives zeros.

Raises:
    ShapeError: the shapes do not fit.
    DTypeError: the dtypes do not.
    ValueError: both `attn_mask` and `is_causal`; `dropout_p` is no probability.

Example:
    >>> import ferrule as fe
    >>> q = k = fe.zeros((1, 2, 4))
    >>> v = fe.tensor([[[1.0], [3.0]]])
    >>> attention = fe.nn.functional.scaled_dot_product_attention
    >>> attention(q, k, v).tolist()
    [[[2.0], [2.0]]]
    >>> attention(q, k, v, is_causal=True).tolist()
    [[[1.0], [2.0]]]

Source: Vaswani et al., "Attention is all you need", 2017, equation 1; in
blocks as in Dao, "FlashAttention-2", 2023.
)"),
    .examples = FE_DOC(
        "f(2, 3, 4), f(2, 5, 4), f(2, 5, 6)\n"
        "f(3, 4), f(5, 4), f(5, 2), b(3, 5)\n"
        "f(4, 3), f(2, 3), f(2, 3), b(4, 1)\n"
        "f(2, 2, 3, 4), f(2, 2, 4, 4), f(2, 2, 4, 3), f(1, 1, 4), scale=0.3\n"
        "f(2, 2, 5, 4), f(2, 2, 3, 4), f(2, 2, 3, 4), is_causal=True\n"
        "f(2, 4, 2, 3), f(2, 2, 4, 3), f(2, 2, 4, 3), enable_gqa=True\n"
        "f(2, 1, 2, 3, 2), f(2, 4, 2), f(3, 2, 4, 3), f(3, 1, 3, 4)\n"
        "f(2, 0, 4), f(2, 5, 4), f(2, 5, 6)\n"
        "f(2, 3, 4), f(2, 0, 4), f(2, 0, 6)\n"
        "f(2, 140, 5), f(2, 270, 5), f(2, 270, 3), f(140, 1)\n"
        "f(2, 140, 4), f(2, 300, 4), f(2, 300, 6), is_causal=True\n"
        "f(66, 20), f(300, 20), f(300, 5), b(66, 1)"),
    .reference = FE_DOC(
        "(lambda k, v: (lambda s: (lambda s: (lambda e: (e / "
        "np.where(e.sum(-1, "
        "keepdims=True) == 0, 1, e.sum(-1, keepdims=True))) @ v)(np.exp(s - "
        "np.maximum(s.max(-1, keepdims=True, initial=-np.inf), -1e300))))(s if "
        "attn_mask is None else np.where(attn_mask, s, -np.inf) if "
        "attn_mask.dtype == bool else s + attn_mask))(np.where(np.tri("
        "query.shape[-2], k.shape[-2]) if is_causal else True, query @ "
        "k.swapaxes(-1, -2) * (query.shape[-1] ** -0.5 if scale is None else "
        "scale), -np.inf)))(*(np.repeat(t, query.shape[-3] // t.shape[-3], -3) "
        "if enable_gqa else t for t in (key, value)))"),
    .where = kFunctional,
    .autocast = Autocast::lower,
    .decompose = FE_GRAD(decompose_sdpa),
};

}  // namespace ferrule
