// Attention in terms of simpler ops: for its decompositions, and where dropout
// wants the probabilities.
#pragma once

#include <cmath>
#include <limits>

#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

// What compositions of attention are made of; everything in the accumulator's
// dtype.
struct AttentionParts {
  Tensor query, key, value;  // of as many heads
  Tensor mask;
  Int groups = 1;  // heads of query for each of key
  bool causal = false;
  double scale = 1;

  // Heads of key and value repeated for those of query.
  Tensor repeated(const Tensor& t) const {
    if (groups.value == 1 && !groups.symbolic()) return t;
    IntList s = sizes_of(t.impl());
    const Tensor wide = op::expand(op::unsqueeze(t, 2),
                                   IntList{s[0], s[1], groups, s[2], s[3]});
    return op::reshape(wide, IntList{s[0], s[1] * groups, s[2], s[3]});
  }
  // The opposite: sums over the heads that share one of key.
  Tensor folded(const Tensor& t) const {
    if (groups.value == 1 && !groups.symbolic()) return t;
    IntList s = sizes_of(t.impl());
    const Tensor split =
        op::reshape(t, IntList{s[0], s[1] / groups, groups, s[2], s[3]});
    return op::sum(split, IntList{2});
  }
  // Q K^T, hidden ones minus infinity.
  Tensor scores() const {
    Tensor s = op::mul(op::matmul(query, key, false, true), scale);
    if (causal) s = hide(s, op::tril(op::ones_like(s)));
    if (!mask) return s;
    return mask.dtype() == DType::bool_ ? op::where(mask, s, -kInfinity)
                                        : op::add(s, op::cast(mask, s.dtype()));
  }
  static Tensor hide(const Tensor& s, const Tensor& shown) {
    return op::where(op::cast(shown, DType::bool_), s, -kInfinity);
  }
};

inline AttentionParts attention_parts(const Tensor& query, const Tensor& key,
                                      const Tensor& value, const Tensor& mask,
                                      const Arg& causal, const Arg& scale) {
  const DType t = accumulator(query.dtype());
  AttentionParts p;
  const Int heads = size_of(query.impl(), 1);
  const Int shared = size_of(key.impl(), 1);
  if (heads.value != shared.value) p.groups = heads / shared;
  p.query = op::cast(query, t);
  p.key = p.repeated(op::cast(key, t));
  p.value = p.repeated(op::cast(value, t));
  p.mask = mask;
  p.causal = causal.b;
  const auto features = static_cast<double>(query.size(3));
  p.scale = !scale.is_none() ? scale.f
            : features > 0   ? 1 / std::sqrt(features)
                             : 1;
  return p;
}

}  // namespace ferrule
