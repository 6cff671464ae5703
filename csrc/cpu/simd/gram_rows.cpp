#include "gram_rows.hpp"

#include <algorithm>
#include <cstring>

#include "isa.hpp"

namespace fastlae::simd {

namespace {

alignas(64) constexpr std::uint64_t kNobody[kMaxLines * kLineItems / 64] = {};

#define FASTLAE_BODY "gram_rows.inl"
#include "for_each_isa.inl"
}  // namespace

CountBits count_bits() {
  return FASTLAE_PICK(count_bits);
}

template <class Count>
CountLine<Count> count_line() {
  return FASTLAE_PICK(count_line<Count>);
}

template CountLine<std::uint16_t> count_line();
template CountLine<std::uint32_t> count_line();

std::int64_t line_bit(std::int64_t j) {
  const std::int64_t bytes = FASTLAE_PICK(vector_bytes)(), within = j % (8 * bytes);
  return j - within + 8 * (within % bytes) + within / bytes;
}

template <class T, class Sum>
MoveRow<T, Sum> move_row() {
  return FASTLAE_PICK(move_row<T, Sum>);
}

template MoveRow<float, std::uint16_t> move_row();
template MoveRow<float, std::uint32_t> move_row();
template MoveRow<float, double> move_row();
template MoveRow<double, std::uint16_t> move_row();
template MoveRow<double, std::uint32_t> move_row();
template MoveRow<double, double> move_row();

}  // namespace fastlae::simd
