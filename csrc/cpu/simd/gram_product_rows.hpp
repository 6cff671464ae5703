// What a user adds to a Gram product, for the columns of one panel.
#pragma once

#include <cstdint>

namespace fastlae::simd {

constexpr std::int64_t kProductRow = 64;  // bytes of a row of E, or of Y, in a panel

/// For users first .. last: t = sum_e values[e] E[indices[e]], then Y[indices[e]] += values[e] t. Rows of E and Y take
/// turns in a panel, kProductRow bytes each, so that processors which fetch lines in pairs fetch Y's with E's: `y` is
/// `e` + kProductRow bytes. Null values are ones.
template <class T>
using GramProductRows = void (*)(std::int64_t first, std::int64_t last, const std::int64_t* indptr,
                                 const std::int32_t* indices, const T* values, const T* e, T* y);
template <class T>
GramProductRows<T> gram_product_rows();

}  // namespace fastlae::simd
