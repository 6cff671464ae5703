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

}  // namespace fastlae::cuda
