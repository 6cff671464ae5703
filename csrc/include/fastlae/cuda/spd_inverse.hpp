// Inverse of a symmetric positive definite matrix, blocked, in place, on a CUDA device.
#pragma once

#include <cstdint>

#include "fastlae/cuda/device.hpp"
#include "fastlae/views.hpp"

namespace fastlae::cuda {

/// How the large products are computed.
enum class Precision {
  kFull,   // in the matrix's own type
  kTf32x3  // float only: on tensor cores, each operand as the sum of two TF32 numbers, three of the four products
};

/// Rows of a tile that suit a matrix of order n.
std::int64_t inverse_tile(std::int64_t n);

/// Bytes of workspace: a panel of n x tile (five of them with kTf32x3) and two tiles.
std::int64_t spd_inverse_workspace(std::int64_t n, std::int64_t tile, std::int64_t itemsize, Precision precision);

/// A <- A^-1 by Cholesky in one sweep over tile rows (mathematics: docs/design.md, "The inverse").
///
/// Only the lower triangle of A is read; both are written. `info` becomes -1, or the first row whose pivot is not
/// positive; A is then destroyed. kTf32x3 writes the panel P as H + L, H and L in TF32, and leaves out L L^T and what
/// L loses: at most 3 2^-22 of |P| |P|^T, entry by entry, a step. Tensor cores cut their float sums short instead of
/// rounding them: up to 2^-23 of |P| |P|^T for every eight products. `refine_inverse` takes both back.
template <class T>
void spd_inverse(MatrixView<T> a,     // (n, n) in: A, out: A^-1
                 std::int64_t tile,   // rows of a tile
                 std::int32_t* info,  // (1) out
                 Precision precision, const DeviceContext& context);

/// Columns that `refine_inverse` improves at a time, and bytes of workspace: two panels of them.
std::int64_t refine_columns(std::int64_t n);
std::int64_t refine_inverse_workspace(std::int64_t n, std::int64_t itemsize);

/// C <- C + C (I - A C), a step of Newton's method (Schulz), by columns, in the matrix's own type; 4 n^3 operations.
/// Only a C with |I - A C| < 1 gets better by it.
template <class T>
void refine_inverse(MatrixView<const T> a,  // (n, n), both triangles
                    MatrixView<T> c,        // (n, n) in and out, an approximation of A^-1
                    double* worst,          // (1) out: the largest |I - A C| that was found, before the step
                    const DeviceContext& context);

/// worst <- the largest |A[i, j] - A[j, i]| / sqrt(A[i, i] A[j, j]), or NaN if an entry is not finite.
template <class T>
void asymmetry(MatrixView<const T> a,  // (n, n)
               double* worst,          // (1) out
               const DeviceContext& context);

}  // namespace fastlae::cuda
