// The Gram matrix of a sparse matrix, on a CUDA device.
#pragma once

#include "fastlae/cuda/device.hpp"
#include "fastlae/views.hpp"

namespace fastlae::cuda {

/// Bytes of workspace: the matrix by columns.
std::int64_t gram_workspace(std::int64_t cols, std::int64_t nnz);

/// G <- X^T diag(w) X, dense, both triangles.
///
/// 0/1 data without weights are counted in integers, so the result is exact and equal to that of the CPU. Everything
/// else is summed in double precision, in an order that differs from run to run, and rounded once.
template <class T>
void gram(const DeviceCsr<T>& x,  // (users, items)
          const double* weights,  // (users), or null: all 1
          MatrixView<T> g,        // (items, items) out
          const DeviceContext& context);

}  // namespace fastlae::cuda
