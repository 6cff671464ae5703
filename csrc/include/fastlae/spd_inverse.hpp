// Inverse of a symmetric positive definite matrix, blocked, in place.
#pragma once

#include <cstdint>

#include "fastlae/context.hpp"
#include "fastlae/views.hpp"

namespace fastlae {

/// Rows of a tile that suit a matrix of order n.
std::int64_t inverse_tile(std::int64_t n);

/// A <- A^-1 by Cholesky in one sweep over tiles (mathematics: docs/design.md, "The inverse").
///
/// Only the lower triangle of A is read; both triangles are written. Work: n^3 floating-point operations; memory beside
/// A: four panels of n x tile, and a few tiles per thread. The result does not depend on the number of threads.
///
/// \throws NotPositiveDefinite with the first row whose pivot is not positive; A is then destroyed.
/// \throws Cancelled when the context asks for it; A is then destroyed.
template <class T>
void spd_inverse(MatrixView<T> a,  // (n, n) in: A, out: A^-1
                 const Context& context);

/// The same on the lower triangle alone, packed for instance; diagonal tiles are written in full.
template <class T>
void spd_inverse(SymmetricView<T> a,  // (n, n) in: A, out: A^-1
                 const Context& context);

/// The largest |A[i, j] - A[j, i]| / sqrt(A[i, i] A[j, j]), or NaN if an entry is not finite.
template <class T>
double asymmetry(MatrixView<const T> a,  // (n, n)
                 const Context& context);

}  // namespace fastlae
