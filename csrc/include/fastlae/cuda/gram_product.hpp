// The Gram matrix of a sparse matrix times a dense one, on a CUDA device.
#pragma once

#include "fastlae/cuda/device.hpp"
#include "fastlae/views.hpp"

namespace fastlae::cuda {

/// Y <- (X^T X + diag(ridge)) E, without X E: a block of threads holds a user's part of it in registers. Users add to Y
/// in an order that differs between runs.
template <class T>
void gram_product(const DeviceCsr<T>& x,  // (users, items)
                  MatrixView<const T> e,  // (items, dim)
                  const T* ridge,         // (items), or null: all 0
                  MatrixView<T> y,        // (items, dim) out, apart from E
                  const DeviceContext& context);

}  // namespace fastlae::cuda
