// What a row of the Gram matrix, and one of the nearest neighbours, needs of vectors: counting over rows of bits, and
// writing the row.
#pragma once

#include <cstdint>

namespace fastlae::simd {

constexpr std::int64_t kLineItems = 512;  // items of a line: one cache line of bits
constexpr std::int64_t kMaxLines = 8;
constexpr std::int64_t kUsersAhead = 32;

/// sums[i] += number of the `count` users whose bit i is set, for i < 512 lines. User u has the words from
/// bits[u * stride] on. Of users[count, count + kUsersAhead) the bits are prefetched: they must be valid users.
using CountBits = void (*)(const std::uint64_t* bits, std::int64_t stride, std::int64_t lines,
                           const std::int32_t* users, std::int64_t count, std::uint32_t* sums);
CountBits count_bits();

/// counts[j] = number of the `count` rows of bits whose bit line_bit(j) is set, for one line. Row r begins at
/// bits + offsets[r], offsets being in bytes; there are to be so many that their number is a multiple of 16, those from
/// `count` on of rows without a bit.
template <class Count>
using CountLine = void (*)(const char* bits, const std::uint32_t* offsets, std::int64_t count, Count* counts);
template <class Count>
CountLine<Count> count_line();
constexpr std::int64_t kRowsAtOnce = 16;

/// Which bit of a line is that of entry j, so that the counts of a vector lie side by side.
std::int64_t line_bit(std::int64_t j);

/// out[j] = sums[j], sums[j] = 0 for j < count.
template <class T, class Sum>
using MoveRow = void (*)(Sum* sums, std::int64_t count, T* out);
template <class T, class Sum>
MoveRow<T, Sum> move_row();

}  // namespace fastlae::simd
