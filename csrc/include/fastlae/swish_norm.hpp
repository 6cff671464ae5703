// A layer's activation as RecVAE's encoder has it: swish, then layer norm, with connections past the layer.
#pragma once

#include "fastlae/context.hpp"
#include "fastlae/views.hpp"

namespace fastlae {

/// With s = swish(x + 1 layer_bias^T + residual), swish(t) = t / (1 + exp(-t)), row by row: y <- (s - mean(s)) scale
/// weight + bias, scale = 1 / sqrt(var(s) + eps), and total <- residual + y, which is what the next layer is given
/// besides y.
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
                const Context& context);

/// Gradients of all that `swish_norm` is given, from those of y and total; s is made a second time. The sums over the
/// batch are added in the order of its rows, so that they do not depend on the number of threads.
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
                         const Context& context);

}  // namespace fastlae
