// Half a sweep of alternating least squares, on a CUDA device: the twin of fastlae/als.hpp, where the equation is.
#pragma once

#include <cstdint>

#include "fastlae/cuda/device.hpp"
#include "fastlae/views.hpp"

namespace fastlae::cuda {

template <class T>
struct AlsTerm {
  DeviceCsr<T> x;              // (rows, columns) its values are the w_k; null: all are `weight`
  T weight = T(1);             //
  const T* targets = nullptr;  // (nnz) t_k; null: t_k = w_k + offset
  T offset = T(1);             //
  MatrixView<const T> fixed;   // (columns, dim) the f_c
};

constexpr int kMostAlsTerms = 2;

/// Bytes of workspace: of as many rows as are at work at a time three vectors (conjugate gradients) or half a matrix
/// (Cholesky).
std::int64_t als_rows_workspace(std::int64_t rows, std::int64_t dim, int steps, std::int64_t itemsize);

/// Solves the problem of every row; every sum has an order that follows from the shapes alone. `info` becomes -1, or a
/// row whose matrix is not positive definite (steps = 0 only), which is left as it was.
template <class T>
void als_rows(const AlsTerm<T>* terms, int count,  // at most kMostAlsTerms
              MatrixView<const T> shared,          // (dim, dim) symmetric
              const T* ridge,                      // (rows)
              MatrixView<const T> prior,           // (rows, dim), or no rows: all 0
              MatrixView<T> p,                     // (rows, dim) in and out
              int steps, std::int32_t* info, const DeviceContext& context);

}  // namespace fastlae::cuda
