// The density of a mixture of three normal distributions, one of which every row brings, and its gradient.
#pragma once

#include <cstdint>

namespace fastlae::simd {

/// Logarithms of the weights; log-variance of the third part.
template <class T>
struct PriorConstants {
  T log_weights[3];
  T wide_logvar;
};

/// Parts: N(0, 1), N(mu, exp(logvar)), N(0, exp(wide_logvar)). Coordinates are mixed one by one, or as one.
template <class T>
struct CompositePriorKernel {
  /// The log-density of z.
  double (*log_density)(std::int64_t n, const T* z, const T* mu, const T* logvar, const PriorConstants<T>& parts,
                        bool per_coordinate);
  /// `grad` times its gradients; null `dmu` and `dlogvar` are not asked for.
  void (*gradient)(std::int64_t n, T grad, const T* z, const T* mu, const T* logvar, const PriorConstants<T>& parts,
                   bool per_coordinate, T* dz, T* dmu, T* dlogvar);
};

template <class T>
const CompositePriorKernel<T>& composite_prior_kernel();

}  // namespace fastlae::simd
