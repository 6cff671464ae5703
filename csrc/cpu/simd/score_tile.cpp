#include "score_tile.hpp"

#include "isa.hpp"

namespace fastlae::simd {

namespace {
#define FASTLAE_BODY "score.inl"
#include "for_each_isa.inl"
}  // namespace

template <>
ScoreTile<float> score_tile<float>() {
  return FASTLAE_PICK(score_tile<float>);
}

template <>
ScoreTile<double> score_tile<double>() {
  return FASTLAE_PICK(score_tile<double>);
}

}  // namespace fastlae::simd
