// The singular value decomposition of one matrix.
#pragma once

#include "runtime/cpu/linalg_reductions.h"
#include "runtime/cpu/linalg_rotations.h"

namespace ferrule::cpu {

// A = U diag(values) V^H for A of m x n, m >= n. U has `columns` columns, n or
// more, or neither U nor V are wanted (0).
template <class T>
class Svd {
 public:
  Svd(Arena& arena, int64_t m, int64_t n, int64_t columns);
  // False: the iteration did not converge. `a` has been set, and is lost.
  bool run();

  int64_t m, n, columns;
  Rows<T> a;       // m x n
  double* values;  // descending
  Rows<T> u;       // m x columns
  Rows<T> v;       // n x n: row i is the i-th vector, transposed
  Products<T> products;

 private:
  void sort_descending();

  double* above_;
  T *taus_, *left_taus_, *right_taus_;
  Rows<T> square_;  // R of A = Q R, or A itself, if it is square
  Rows<T> left_;    // its left vectors, as rows
  Rows<T> copy_;
  int64_t* order_;
  Panels<T> panels_;
  Reflectors<T> reflectors_;
  Rotations<T> left_rotations_, right_rotations_;
};

// The kernel of least_squares for the drivers "gelsd" and "gelss".
void least_squares_svd(OpCall& c);
int64_t least_squares_svd_scratch(const OpCall& c);

}  // namespace ferrule::cpu
