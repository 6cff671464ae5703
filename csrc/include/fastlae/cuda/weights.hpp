// From a regularised inverse to item-item weights, on a CUDA device. The equations are those of fastlae/weights.hpp.
#pragma once

#include "fastlae/cuda/device.hpp"
#include "fastlae/views.hpp"

namespace fastlae::cuda {

/// W <- diag(row_scale) (diag(alpha) + C diag(beta)). W may be C.
template <class T>
void diagonal_weights(MatrixView<const T> c,    // (n, n)
                      const double* alpha,      // (n)
                      const double* beta,       // (n)
                      const double* row_scale,  // (n), or null: all 1
                      MatrixView<T> w,          // (n, n) out
                      const DeviceContext& context);

/// Column i of X solves (H0 + e1_i e_i^T + e_i e2_i^T) x = v_i; the diagonal of E2 is left out.
template <class T>
void miller_update(MatrixView<const T> h0_inverse,  // (n, n), symmetric
                   MatrixView<const T> v,           // (n, n)
                   MatrixView<const T> e1,          // (n, n)
                   MatrixView<const T> e2,          // (n, n)
                   MatrixView<T> x,                 // (n, n) out, none of the above
                   MatrixView<T> work,              // (n, n)
                   const DeviceContext& context);

}  // namespace fastlae::cuda
