// The negative multinomial log-likelihood of sparse rows on a CUDA device: the twin of fastlae/multinomial.hpp.
#pragma once

#include "fastlae/cuda/device.hpp"
#include "fastlae/views.hpp"

namespace fastlae::cuda {

/// Loss and logsumexp of every row. Sums are made in double, in an order that follows from the shapes alone.
template <class T>
void multinomial_nll(MatrixView<const T> z,  // (batch, items)
                     const DeviceCsr<T>& x,  // (batch, items)
                     T* loss,                // (batch) out
                     T* lse,                 // (batch) out
                     const DeviceContext& context);

/// dz <- diag(grad) (diag(total) softmax(z) - X).
template <class T>
void multinomial_nll_backward(const T* grad,          // (batch)
                              const T* lse,           // (batch)
                              MatrixView<const T> z,  // (batch, items)
                              const DeviceCsr<T>& x,  // (batch, items)
                              MatrixView<T> dz,       // (batch, items) out
                              const DeviceContext& context);

}  // namespace fastlae::cuda
