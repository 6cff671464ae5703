// What a user adds to a Gram product, for the columns of one panel.
#pragma once

#include <cstdint>

namespace fastlae::simd {

// Bytes of a row of a panel. Of 20,000 items a panel takes 2.5 MB; half of that halves what is added per index, twice
// of that leaves the caches.
constexpr std::int64_t kProductRow = 64;

/// For users first .. last: t = sum_e values[e] E[indices[e]], then Y[indices[e]] += values[e] t. E and Y are panels:
/// rows of kProductRow bytes, one after the other. Null values are ones.
template <class T>
using GramProductRows = void (*)(std::int64_t first, std::int64_t last, const std::int64_t* indptr,
                                 const std::int32_t* indices, const T* values, const T* e, T* y);
template <class T>
GramProductRows<T> gram_product_rows();

}  // namespace fastlae::simd
