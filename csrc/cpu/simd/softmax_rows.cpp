#include "softmax_rows.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>

#include "exponential.hpp"
#include "isa.hpp"

namespace fastlae::simd {

namespace {
#define FASTLAE_BODY "softmax_rows.inl"
#include "for_each_isa.inl"
}  // namespace

template <>
const SoftmaxKernel<float>& softmax_kernel<float>() {
  return FASTLAE_PICK(softmax<float>);
}
template <>
const SoftmaxKernel<double>& softmax_kernel<double>() {
  return FASTLAE_PICK(softmax<double>);
}

}  // namespace fastlae::simd
