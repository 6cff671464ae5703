#include "score_tile.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "isa.hpp"

namespace fastlae::simd {

namespace {
#define FASTLAE_BODY "score.inl"
#include "for_each_isa.inl"
}  // namespace

#define FASTLAE_INSTANTIATE(STORED)                                               \
  template <>                                                                     \
  ScoreSums<STORED> score_sums<STORED>() {                                        \
    return {FASTLAE_PICK(score_rows<STORED>), FASTLAE_PICK(score_panel<STORED>)}; \
  }
FASTLAE_INSTANTIATE(float)
FASTLAE_INSTANTIATE(double)
FASTLAE_INSTANTIATE(Float16)
FASTLAE_INSTANTIATE(Bfloat16)
#undef FASTLAE_INSTANTIATE

template <>
Above<float> above<float>() {
  return FASTLAE_PICK(above<float>);
}
template <>
Above<double> above<double>() {
  return FASTLAE_PICK(above<double>);
}

}  // namespace fastlae::simd
