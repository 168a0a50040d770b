// Householder's reflectors, and the QR decomposition, which they give.
//
// A reflector is H = I - tau v v^H with v[0] = 1, which is not stored. Signs
// are LAPACK's, so that results are those that users know.
#pragma once

#include "runtime/cpu/linalg.h"

namespace ferrule::cpu {

// H^H x = (beta, 0, ...) with a real beta. x becomes (beta, v[1], ...); returns
// tau, 0 for H = I.
template <class T>
T make_reflector(int64_t n, T* x, int64_t step);

// Applies products of many reflectors, a block of them at a time:
// H1 H2 ... = I - V S V^H (Schreiber and Van Loan, "A Storage-Efficient WY
// Representation for Products of Householder Transformations", 1989).
template <class T>
class Reflectors {
 public:
  // Memory for matrices of up to m rows and n columns.
  Reflectors(Arena& arena, int64_t m, int64_t n, const Products<T>& products);

  // C = Q C or (adjoint) Q^H C for Q = H1 H2 ... Hk, of m rows; C has n
  // columns. The vector of reflector j is column j of `vectors`, from its
  // diagonal on.
  void apply(Strided<T> vectors, const T* taus, int64_t m, int64_t k, Rows<T> c,
             int64_t n, bool adjoint) const;
  // The m x n matrix of Q's first columns.
  void form(Strided<T> vectors, const T* taus, int64_t m, int64_t k, Rows<T> q,
            int64_t n) const;

 private:
  void apply_block(Strided<T> vectors, const T* taus, int64_t m, int64_t k,
                   Rows<T> c, int64_t n, bool adjoint) const;

  const Products<T>& products_;
  T* vectors_;         // m x kBlock
  T* triangle_;        // S
  T *inner_, *outer_;  // V^H C, S V^H C
};

// A = Q R in place: R is the upper triangle, the reflectors lie below it.
// min(m, n) taus.
template <class T>
void qr_factor(Rows<T> a, int64_t m, int64_t n, T* taus,
               const Reflectors<T>& reflectors);

}  // namespace ferrule::cpu
