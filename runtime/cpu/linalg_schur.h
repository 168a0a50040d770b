// Schur form of general matrices.
#pragma once

#include "runtime/cpu/linalg.h"

namespace ferrule::cpu {

// Turns a Hessenberg matrix H into its Schur form by the QR iteration: upper
// triangular, of a real matrix with blocks of 2 x 2 for pairs of conjugate
// eigenvalues. Rows of `zt` become those of Z^T for H = Z T Z^H, if it was the
// identity; null: they are not wanted. False: it did not converge.
bool schur(Rows<double> h, int64_t n, Complex* values, Rows<double> zt);
bool schur(Rows<Complex> h, int64_t n, Complex* values, Rows<Complex> zt);

}  // namespace ferrule::cpu
