#include "composite_prior_rows.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "exponential.hpp"
#include "isa.hpp"

namespace fastlae::simd {

namespace {
#define FASTLAE_BODY "composite_prior_rows.inl"
#include "for_each_isa.inl"
}  // namespace

template <>
const CompositePriorKernel<float>& composite_prior_kernel<float>() {
  return FASTLAE_PICK(composite_prior<float>);
}
template <>
const CompositePriorKernel<double>& composite_prior_kernel<double>() {
  return FASTLAE_PICK(composite_prior<double>);
}

}  // namespace fastlae::simd
