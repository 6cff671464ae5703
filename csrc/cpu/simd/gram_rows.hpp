// What a row of the Gram matrix needs of vectors: counting popular items over users, and writing the row.
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

/// out[j] = sums[j], sums[j] = 0 for j < count.
template <class T, class Sum>
using MoveRow = void (*)(Sum* sums, std::int64_t count, T* out);
template <class T, class Sum>
MoveRow<T, Sum> move_row();

}  // namespace fastlae::simd
