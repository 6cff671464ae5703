// Which of many inner products are worth a second look.
#pragma once

#include <cstdint>
#include <type_traits>

namespace fastlae::simd {

constexpr std::int64_t kSiftBlock = 1024;

/// Counts are compared in float, sums in double, where they neither overflow nor vanish.
template <class Dot>
using Term = std::conditional_t<std::is_integral_v<Dot>, float, double>;

/// Positions j < count (at most kSiftBlock) with dots[j] * gain > offset + slope * terms[j], ascending; their number.
/// There is to be room for kSiftSlack more positions.
template <class Dot>
using Sift = std::int64_t (*)(const Dot* dots, const Term<Dot>* terms, std::int64_t count, Term<Dot> gain,
                              Term<Dot> offset, Term<Dot> slope, std::int32_t* positions);
constexpr std::int64_t kSiftSlack = 8;
template <class Dot>
Sift<Dot> sift();

}  // namespace fastlae::simd
