// What coordinate descent does most: subtracting multiples of rows of G from a gradient.
#pragma once

#include <cstdint>

namespace fastlae::simd {

constexpr int kSlimRows =
    4;  // subtracted at a time, so that the gradient passes through registers once for all of them

/// r[i] -= sum_l delta[l] * rows[l][i], l < kSlimRows, in double, in the order of l.
template <class T>
using SubtractRows = void (*)(std::int64_t n, const double* delta, const T* const* rows, double* r);

/// r[i] -= delta * row[i].
template <class T>
using SubtractRow = void (*)(std::int64_t n, double delta, const T* row, double* r);

template <class T>
SubtractRows<T> subtract_rows();
template <class T>
SubtractRow<T> subtract_row();

}  // namespace fastlae::simd
