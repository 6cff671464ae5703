// Swish and layer norm in one, on a CUDA device: the twin of fastlae/swish_norm.hpp, where the equations are.
#pragma once

#include "fastlae/cuda/device.hpp"
#include "fastlae/views.hpp"

namespace fastlae::cuda {

template <class T>
void swish_norm(MatrixView<const T> x,         // (batch, hidden): what a layer's product gives
                const T* layer_bias,           // (hidden), or null: 0
                MatrixView<const T> residual,  // (batch, hidden), or no rows: 0
                const T* weight,               // (hidden)
                const T* bias,                 // (hidden)
                double eps,
                MatrixView<T> y,      // (batch, hidden) out
                MatrixView<T> total,  // (batch, hidden) out, or no rows: not asked for
                T* mean,              // (batch) out
                T* scale,             // (batch) out
                const DeviceContext& context);

/// Sums over the batch are made in an order that follows from the shapes alone.
template <class T>
void swish_norm_backward(MatrixView<const T> dy,        // (batch, hidden)
                         MatrixView<const T> dtotal,    // (batch, hidden), or no rows: 0
                         MatrixView<const T> x,         // (batch, hidden)
                         const T* layer_bias,           // (hidden), or null: 0
                         MatrixView<const T> residual,  // (batch, hidden), or no rows: 0
                         const T* weight,               // (hidden)
                         const T* mean,                 // (batch)
                         const T* scale,                // (batch)
                         MatrixView<T> dx,              // (batch, hidden) out
                         MatrixView<T> dresidual,       // (batch, hidden) out, or no rows: not asked for
                         T* dweight,                    // (hidden) out
                         T* dbias,                      // (hidden) out
                         T* dlayer_bias,                // (hidden) out, or null: not asked for
                         const DeviceContext& context);

}  // namespace fastlae::cuda
