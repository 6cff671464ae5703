// Swish and layer norm of a row, and their gradient.
#pragma once

#include <cstdint>

namespace fastlae::simd {

template <class T>
struct SwishNormKernel {
  /// With s = swish(x + layer_bias + residual): y = (s - mean(s)) * scale * weight + bias, scale = 1 / sqrt(var(s) +
  /// eps), and total = residual + y. Null `layer_bias` and `residual` are 0; a null total is not asked for.
  void (*forward)(std::int64_t n, const T* x, const T* layer_bias, const T* residual, const T* weight, const T* bias,
                  T eps, T* y, T* total, T* mean, T* scale);
  /// From the gradients of y and (if not null) of total: those of x and (if asked for) of residual are written, those
  /// of weight, bias and (if asked for) layer_bias are added to. `scratch` holds 2 n elements.
  void (*backward)(std::int64_t n, const T* dy, const T* dtotal, const T* x, const T* layer_bias, const T* residual,
                   const T* weight, T mean, T scale, T* dx, T* dresidual, T* dweight, T* dbias, T* dlayer_bias,
                   T* scratch);
};

template <class T>
const SwishNormKernel<T>& swish_norm_kernel();

}  // namespace fastlae::simd
