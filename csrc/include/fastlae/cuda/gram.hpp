// The Gram matrix of a sparse matrix, on a CUDA device.
#pragma once

#include "fastlae/cuda/device.hpp"
#include "fastlae/views.hpp"

namespace fastlae::cuda {

/// Bytes of workspace: the matrix by columns, and bits of its most popular ones.
std::int64_t gram_workspace(std::int64_t users, std::int64_t cols, std::int64_t nnz);

/// What `gram` may do with the most popular items of 0/1 data.
constexpr std::int64_t kHeadByCost = 0;  // multiply as many of them on tensor cores as costs least
constexpr std::int64_t kNoHead = -1;     // a positive number: at least so many

/// G <- X^T diag(w) X, dense, both triangles.
///
/// 0/1 data without weights are counted in integers, so the result is exact and equal to that of the CPU. Everything
/// else is summed in double precision, in an order that differs from run to run, and rounded once; but among the most
/// popular items, 0/1 data have their weights rounded to 2^-40 of the largest, and their sums rounded five times.
template <class T>
void gram(const DeviceCsr<T>& x,  // (users, items)
          const double* weights,  // (users), or null: all 1; of at least 0
          MatrixView<T> g,        // (items, items) out
          std::int64_t head_items, const DeviceContext& context);

}  // namespace fastlae::cuda
