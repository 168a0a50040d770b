// Rules of optimizers by which an element changes on its own: a table that is
// looked up once a tile. The operations and their order are those of
// torch.optim on single tensors, but for factors that are multiplied ahead; a
// product that is added to something is rounded with it, as there.
#pragma once

#include <cstdint>

#include "runtime/cpu/isa.h"

namespace ferrule::cpu {

enum class Rule {
  rmsprop,
  adagrad,
  adadelta,
  rprop,
  nadam,
  radam,
  adamax,
  asgd,
};

inline constexpr int kMaxRuleState = 3;
inline constexpr int kMaxFactors = 8;

// What a rule sees of one parameter. What `state` and `c` mean, its rule says
// (optim_rules.simd.cpp).
template <class T>
struct RuleTile {
  T* param;
  const T* grad;
  T* state[kMaxRuleState];  // null: the method goes without it
  T keep;                   // what is left of the parameter: decoupled decay
  T weight_decay;           // added to the gradient
  bool maximize;
  T c[kMaxFactors];
};

FE_SIMD(void rule_f32(Rule rule, const RuleTile<float>& a, int64_t n);)
FE_SIMD(void rule_f64(Rule rule, const RuleTile<double>& a, int64_t n);)

}  // namespace ferrule::cpu
