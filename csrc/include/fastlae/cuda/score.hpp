// Scores of sparse rows on a CUDA device: a sparse matrix times a dense one.
#pragma once

#include "fastlae/cuda/device.hpp"
#include "fastlae/views.hpp"

namespace fastlae::cuda {

/// S <- X W. Every score is summed in the order of its row's entries.
template <class T>
void score(const DeviceCsr<T>& x,  // (rows, k)
           MatrixView<const T> w,  // (k, n)
           MatrixView<T> s,        // (rows, n) out
           const DeviceContext& context);

/// S <- X W for a sparse W by rows. Every score is summed in the order of its row's entries.
template <class T>
void score_sparse(const DeviceCsr<T>& x,  // (rows, k)
                  const DeviceCsr<T>& w,  // (k, n)
                  MatrixView<T> s,        // (rows, n) out
                  const DeviceContext& context);

/// q[i] <- the diagonal of X M X^T, for symmetric M, in double.
template <class T>
void quadratic_diagonal(const DeviceCsr<T>& x,  // (rows, m)
                        MatrixView<const T> m,  // (m, m)
                        double* q,              // (rows) out
                        const DeviceContext& context);

}  // namespace fastlae::cuda
