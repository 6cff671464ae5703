#include "knn_rows.hpp"

#include <cstddef>
#include <cstring>

#include "isa.hpp"

namespace fastlae::simd {

namespace {
#define FASTLAE_BODY "knn_rows.inl"
#include "for_each_isa.inl"
}  // namespace

template <class Dot>
Sift<Dot> sift() {
  return FASTLAE_PICK(sift<Dot>);
}

template Sift<std::uint16_t> sift();
template Sift<std::uint32_t> sift();
template Sift<double> sift();

}  // namespace fastlae::simd
