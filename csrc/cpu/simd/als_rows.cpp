#include "als_rows.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "isa.hpp"

namespace fastlae::simd {

namespace {
#define FASTLAE_BODY "als_rows.inl"
#include "for_each_isa.inl"
}  // namespace

template <>
const AlsKernel<float>& als_kernel<float>() {
  return FASTLAE_PICK(kernel<float>);
}
template <>
const AlsKernel<double>& als_kernel<double>() {
  return FASTLAE_PICK(kernel<double>);
}

}  // namespace fastlae::simd
