// The QR decomposition with column pivoting, which reveals the rank.
#pragma once

#include "runtime/cpu/linalg_reflectors.h"

namespace ferrule::cpu {

// A P = Q R for A of m x n: the column that comes next is the one of which the
// columns before it explain least.
template <class T>
class PivotedQr {
 public:
  PivotedQr(Arena& arena, int64_t m, int64_t n, const Products<T>& products);
  // In place: R is the upper triangle, the reflectors lie below it. Stops where
  // the smallest singular value of R would be no more than `rcond` times the
  // largest, and returns the number of columns up to there, the rank; rows of R
  // from there on are not set.
  int64_t factor(Rows<T> a, T* taus, double rcond);

  int64_t* order;  // column j of A P is column order[j] of A

 private:
  void exchange(Rows<T> a, int64_t i, int64_t j);
  void measure(Rows<T> a, int64_t begin);

  int64_t m_, n_;
  const Products<T>& products_;
  double *norms_, *left_;  // squares of the norms of columns: when last
                           // computed, and of what is left by now
  T* changes_;             // kBlock x n
  T* vector_;              // m
  T *smallest_, *largest_;
};

}  // namespace ferrule::cpu
