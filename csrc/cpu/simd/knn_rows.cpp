#include "knn_rows.hpp"

#include <cstddef>
#include <cstring>

#include "isa.hpp"

namespace fastlae::simd {

namespace {
#define FASTLAE_BODY "knn_rows.inl"
#include "for_each_isa.inl"
}  // namespace

template <>
Sift<std::int32_t> sift<std::int32_t>() {
  return FASTLAE_PICK(sift<std::int32_t>);
}
template <>
Sift<double> sift<double>() {
  return FASTLAE_PICK(sift<double>);
}

}  // namespace fastlae::simd
