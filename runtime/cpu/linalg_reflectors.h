// Householder's reflectors, and what they reduce matrices to: triangular,
// tridiagonal, bidiagonal and Hessenberg form.
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

// A = Q T Q^H for a Hermitian A, of which both triangles are read, and a real
// tridiagonal T: n diagonal elements and n - 1 beside them. The vectors of Q's
// n - 1 reflectors lie in A from row 1 on. `row`: memory for 2 n elements.
template <class T>
void tridiagonalize(Rows<T> a, int64_t n, double* diagonal, double* beside,
                    T* taus, T* row);

// A = Q B P^H for a square A and a real bidiagonal B: n diagonal elements and
// n - 1 above them. Q's reflectors lie in A from row 0 on, P's in the rows of A
// from column 1 on. `row`: memory for 2 n elements.
template <class T>
void bidiagonalize(Rows<T> a, int64_t n, double* diagonal, double* above,
                   T* left_taus, T* right_taus, T* row);

// A = Q H Q^H in place, with zeros in H below the diagonal's neighbour, where
// the vectors of Q's n - 2 reflectors lie, from row 1 on. `row`: memory for 2 n
// elements.
template <class T>
void reduce_to_hessenberg(Rows<T> a, int64_t n, T* taus, T* row);

}  // namespace ferrule::cpu
