#include "swish_norm_rows.hpp"

#include <cmath>
#include <cstddef>
#include <limits>

#include "exponential.hpp"
#include "isa.hpp"

namespace fastlae::simd {

namespace {
#define FASTLAE_BODY "swish_norm_rows.inl"
#include "for_each_isa.inl"
}  // namespace

template <>
const SwishNormKernel<float>& swish_norm_kernel<float>() {
  return FASTLAE_PICK(swish_norm<float>);
}
template <>
const SwishNormKernel<double>& swish_norm_kernel<double>() {
  return FASTLAE_PICK(swish_norm<double>);
}

}  // namespace fastlae::simd
