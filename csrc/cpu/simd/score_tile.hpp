// Scores of one sparse row over some columns of W: the sum of scaled rows of W.
#pragma once

#include <cstdint>

#include "fastlae/half.hpp"

namespace fastlae::simd {

constexpr std::int64_t kScoreTile = 128;  // columns of a tile, four panels
constexpr std::int64_t kScorePanel = 32;  // columns of a packed panel: 20,000 rows of float32 take 2.5 MB

/// out[j] = sum_e values[e] * w[indices[e] * stride + j]; null values are ones. A column's sum is made in the order of
/// the entries, with the same instructions in both functions: it does not depend on which of them is taken.
template <class Stored>
struct ScoreSums {
  using T = Accumulator<Stored>;
  /// `width` columns (a multiple of kScoreTile) of rows that lie apart.
  void (*rows)(std::int64_t count, const std::int32_t* indices, const T* values, const Stored* w, std::int64_t stride,
               std::int64_t width, T* out);
  /// kScorePanel columns of rows that lie one after the other (stride kScorePanel).
  void (*panel)(std::int64_t count, const std::int32_t* indices, const T* values, const Stored* w, T* out);
};

template <class Stored>
ScoreSums<Stored> score_sums();

/// Bit j: scores[j] > bar, for kScorePanel scores. NaN is above nothing.
template <class T>
using Above = std::uint32_t (*)(const T* scores, T bar);

template <class T>
Above<T> above();

}  // namespace fastlae::simd
