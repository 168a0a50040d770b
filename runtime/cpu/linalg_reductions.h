// Reductions of square matrices by Householder's reflectors: to tridiagonal,
// bidiagonal and Hessenberg form.
//
// A block of kBlock columns at a time: within it, what the reflectors so far
// change is computed for the column (and the row) that is needed next, and for
// the product of the matrix with a reflector's vector; the rest of the matrix
// is changed by the whole block at once, by matrix products. Source: Dongarra,
// Sorensen and Hammarling, "Block Reduction of Matrices to Condensed Forms for
// Eigenvalue Computations", 1989.
#pragma once

#include "runtime/cpu/linalg_reflectors.h"

namespace ferrule::cpu {

// Memory for matrices of up to n rows.
template <class T>
struct Panels {
  Panels(Arena& arena, int64_t n)
      : rows(arena.matrix<T>(4 * kBlock, n)),
        vector(arena.take<T>(n)),
        conjugated(arena.take<T>(n)) {}
  // Four blocks of vectors, each as a row: column j of the matrix is element j.
  Rows<T> block(int number) const { return rows.from(number * kBlock, 0); }

  Rows<T> rows;
  T *vector, *conjugated;
};

// A = Q T Q^H for a Hermitian A, of which both triangles are read, and a real
// tridiagonal T: n diagonal elements and n - 1 beside them. The vectors of Q's
// n - 1 reflectors lie in the rows of A from column 1 on.
template <class T>
void tridiagonalize(Rows<T> a, int64_t n, double* diagonal, double* beside,
                    T* taus, const Panels<T>& panels,
                    const Products<T>& products);

// A = Q B P^H for a square A and a real bidiagonal B: n diagonal elements and
// n - 1 above them. Q's reflectors lie in A from row 0 on, P's in the rows of A
// from column 1 on.
template <class T>
void bidiagonalize(Rows<T> a, int64_t n, double* diagonal, double* above,
                   T* left_taus, T* right_taus, const Panels<T>& panels,
                   const Products<T>& products);

// A = Q H Q^H in place, with zeros in H below the diagonal's neighbour, where
// the vectors of Q's n - 2 reflectors lie, from row 1 on.
template <class T>
void reduce_to_hessenberg(Rows<T> a, int64_t n, T* taus,
                          const Panels<T>& panels, const Products<T>& products,
                          const Reflectors<T>& reflectors);

}  // namespace ferrule::cpu
