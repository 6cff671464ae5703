// Constants of the exponential that exponential.inl compiles for every instruction set.
#pragma once

#include <cstdint>

namespace fastlae::simd {

/// exp(x) = 2^n exp(r), n the nearest integer to x / log 2 and |r| <= log(2) / 2.
template <class T>
struct Exp;

template <>
struct Exp<float> {
  using Bits = std::uint32_t;
  static constexpr float least = -87.0f, most = 88.0f, inverse_log2 = 1.44269504f;
  static constexpr float log2_high = 0.693359375f,
                         log2_low = -2.12194440e-4f;  // the first has 10 bits: n times it is exact
  static constexpr float round = 12582912.0f;         // 1.5 * 2^23: a sum with it is an integer, in the lowest bits
  static constexpr int mantissa = 23, bias = 127, terms = 7;  // the rest of the series is below 6e-9
};

template <>
struct Exp<double> {
  using Bits = std::uint64_t;
  static constexpr double least = -708.0, most = 709.0, inverse_log2 = 1.4426950408889634;
  static constexpr double log2_high = 0x1.62e42feep-1, log2_low = 0x1.a39ef35793c76p-33;  // the first has 32 bits
  static constexpr double round = 6755399441055744.0;                                     // 1.5 * 2^52
  static constexpr int mantissa = 52, bias = 1023, terms = 13;                            // below 5e-18
};

}  // namespace fastlae::simd
