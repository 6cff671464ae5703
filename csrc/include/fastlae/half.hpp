// Numbers of 16 bits: kept in memory only. Kernels widen them in registers and compute in float32.
#pragma once

#include <cstdint>

namespace fastlae {

/// IEEE 754 binary16.
struct Float16 {
  std::uint16_t bits;
};

/// The upper half of a float32.
struct Bfloat16 {
  std::uint16_t bits;
};

template <class Stored>
struct AccumulatorOf {
  using type = Stored;
};
template <>
struct AccumulatorOf<Float16> {
  using type = float;
};
template <>
struct AccumulatorOf<Bfloat16> {
  using type = float;
};

/// What sums of products with stored numbers of this type are computed in.
template <class Stored>
using Accumulator = typename AccumulatorOf<Stored>::type;

}  // namespace fastlae
