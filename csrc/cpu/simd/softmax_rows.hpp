// What a softmax needs of a row: its largest score, and exponentials.
#pragma once

#include <cstdint>

namespace fastlae::simd {

/// Exponentials have a relative error of at most 2 units in the last place; below -87 (float) or -708 (double) they are
/// 0. NaN stays NaN.
template <class T>
struct SoftmaxKernel {
  /// The largest of z[i], -infinity where there are none. NaN is passed over: the exponentials keep it.
  T (*max)(std::int64_t n, const T* z);
  /// z[i] += bias[i], and the largest of them.
  T (*add_max)(std::int64_t n, const T* bias, T* z);
  /// The sum of exp(z[i] - shift).
  T (*sum_exp)(std::int64_t n, const T* z, T shift);
  /// out[i] = exp(z[i] - shift), and their sum; out may be z.
  T (*exp_sum)(std::int64_t n, const T* z, T shift, T* out);
  /// out[i] = scale exp(z[i] + bias[i] - shift), 0 if scale is 0; a null bias is 0; out may be z.
  void (*scaled_exp)(std::int64_t n, const T* z, const T* bias, T shift, T scale, T* out);
  /// sum[i] += z[i].
  void (*add)(std::int64_t n, const T* z, T* sum);
  /// z[i] *= scale.
  void (*multiply)(std::int64_t n, T scale, T* z);
};

template <class T>
const SoftmaxKernel<T>& softmax_kernel();

}  // namespace fastlae::simd
