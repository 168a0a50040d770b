// Integer expressions over sizes, in checked arithmetic.
#pragma once

#include <cstdint>
#include <vector>

#include "ferrule/program.h"

namespace ferrule {

// Evaluates expressions once the shapes that they name are known, each at most
// once and without recursion.
class ExprValues {
 public:
  // `impls[v]` is the tensor of value v, null while its shape is unknown.
  ExprValues(const std::vector<Expr>& exprs,
             const std::vector<TensorImpl*>& impls)
      : exprs_(exprs),
        impls_(impls),
        values_(exprs.size()),
        known_(exprs.size()) {}

  // Throws FormatError for a bad index, a shape not known yet, an overflow.
  int64_t operator()(int32_t expr);

 private:
  void set(int32_t expr);

  const std::vector<Expr>& exprs_;
  const std::vector<TensorImpl*>& impls_;
  std::vector<int64_t> values_;
  std::vector<bool> known_;
  std::vector<int32_t> todo_;
};

}  // namespace ferrule
