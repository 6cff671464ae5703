// One row of scores over a tile of columns.
#pragma once

#include <cstdint>

namespace fastlae::simd {

constexpr std::int64_t kScoreTile = 128;  // columns of a tile: 8 vectors of float32 in AVX-512

/// out[j] = sum_e values[e] * w[indices[e] * stride + j] for j in [0, width); null values are ones. The sum of a
/// column is the same whether it falls into a vector or the tail only up to rounding, so callers cut columns into
/// tiles at multiples of kScoreTile.
template <class T>
using ScoreTile = void (*)(std::int64_t count, const std::int32_t* indices, const T* values, const T* w,
                           std::int64_t stride, std::int64_t width, T* out);

template <class T>
ScoreTile<T> score_tile();

}  // namespace fastlae::simd
