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

/// Bytes of workspace: a panel of n x tile (three of them with kTf32x3) and two tiles.
std::int64_t spd_inverse_workspace(std::int64_t n, std::int64_t tile, std::int64_t itemsize, Precision precision);

/// A <- A^-1 by Cholesky in one sweep over tile rows (mathematics: docs/design.md, "The inverse").
///
/// Only the lower triangle of A is read; both are written. `info` becomes -1, or the first row whose pivot is not
/// positive; A is then destroyed. kTf32x3 writes the panel P as H + L, H and L in TF32, and leaves out L L^T and
/// what L loses: at most 3 2^-22 of |P| |P|^T, entry by entry, a step, beside float32's own 2^-24 a product.
template <class T>
void spd_inverse(MatrixView<T> a,     // (n, n) in: A, out: A^-1
                 std::int64_t tile,   // rows of a tile
                 std::int32_t* info,  // (1) out
                 Precision precision, const DeviceContext& context);

/// worst <- the largest |A[i, j] - A[j, i]| / sqrt(A[i, i] A[j, j]), or NaN if an entry is not finite.
template <class T>
void asymmetry(MatrixView<const T> a,  // (n, n)
               double* worst,          // (1) out
               const DeviceContext& context);

}  // namespace fastlae::cuda
