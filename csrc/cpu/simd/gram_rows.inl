// Bodies of gram_rows.hpp.

using Word = Vector<std::uint64_t>;
using Count = Vector<std::uint32_t>;

constexpr int kParts = static_cast<int>(64 / kBytes);  // vectors of a line
constexpr int kPlanes = 8;                             // binary digits of a count
constexpr int kGroup = 16;                             // users of one carry-save tree
constexpr std::int64_t kChunk = 240;                   // users whose count fits into kPlanes digits

/// Full adder, bit by bit: low + a + b = 2 high + low.
FASTLAE_INLINE void add(Word& high, Word& low, Word a, Word b) {
  const Word u = low ^ a;
  high = (low & a) | (u & b);
  low = u ^ b;
}

/// Adds one bit of each of 16 users, bits(0) to bits(15), to counts whose binary digits lie in `digits`: a tree of full
/// adders, some five operations a user for all the items of a vector.
template <class Bits>
FASTLAE_INLINE void add_group(Bits&& bits, Word* digits) {
  Word c0 = digits[0], c1 = digits[1], c2 = digits[2], c3 = digits[3];
  Word two0, two1, four0, four1, eight0, eight1, carry;
  add(two0, c0, bits(0), bits(1));
  add(two1, c0, bits(2), bits(3));
  add(four0, c1, two0, two1);
  add(two0, c0, bits(4), bits(5));
  add(two1, c0, bits(6), bits(7));
  add(four1, c1, two0, two1);
  add(eight0, c2, four0, four1);
  add(two0, c0, bits(8), bits(9));
  add(two1, c0, bits(10), bits(11));
  add(four0, c1, two0, two1);
  add(two0, c0, bits(12), bits(13));
  add(two1, c0, bits(14), bits(15));
  add(four1, c1, two0, two1);
  add(eight1, c2, four0, four1);
  add(carry, c3, eight0, eight1);
  digits[0] = c0, digits[1] = c1, digits[2] = c2, digits[3] = c3;
  for (int k = 4; k < kPlanes; ++k) {
    const Word old = digits[k];
    digits[k] = old ^ carry;
    carry = old & carry;
  }
}

/// sums += the counts in `digits`, of which the first `planes` may be other than zero.
FASTLAE_INLINE void flush(const Word* digits, int planes, std::uint32_t* sums) {
  constexpr int width = lanes<std::uint32_t>, of_word = 32 / width;
  Count bit{};
  for (int i = 0; i < width; ++i) bit[i] = std::uint32_t{1} << i;
  for (int g = 0; g < static_cast<int>(kBytes) * 8 / width; ++g) {
    Count& sum = *reinterpret_cast<Count*>(sums + g * width);
    Count total = sum;
    for (int k = 0; k < planes; ++k) {
      std::uint32_t word;
      std::memcpy(&word, reinterpret_cast<const char*>(digits + k) + g / of_word * 4, 4);
      const Count here = Count{} + (word >> (g % of_word * width));
      total += reinterpret_cast<Count>((here & bit) != 0) & (Count{} + (std::uint32_t{1} << k));
    }
    sum = total;
  }
}

inline void count_bits(const std::uint64_t* bits, std::int64_t stride, std::int64_t lines, const std::int32_t* users,
                       std::int64_t count, std::uint32_t* sums) {
  const auto row = [&](std::int64_t i) { return reinterpret_cast<const char*>(bits + users[i] * stride); };
  const char* at[kChunk];
  for (std::int64_t begin = 0; begin < count; begin += kChunk) {
    const auto some = static_cast<int>(std::min(count - begin, kChunk));
    const int padded = (some + kGroup - 1) / kGroup * kGroup;
    int planes = 1;
    while ((1 << planes) <= some) ++planes;
    for (int i = 0; i < padded; ++i) at[i] = i < some ? row(begin + i) : reinterpret_cast<const char*>(kNobody);
    // Line by line, as the digits of a line fit into registers; the others wait in L2.
    for (std::int64_t l = 0; l < lines; ++l)
      for (int part = 0; part < kParts; ++part) {
        Word digits[kPlanes] = {};
        for (int i = 0; i < padded; i += kGroup) {
          if (l == 0 && part == 0)  // rows lie anywhere
            for (int q = i; q < std::min(some, i + kGroup); ++q)
              for (std::int64_t m = 0; m < lines; ++m) __builtin_prefetch(row(begin + q + kUsersAhead) + 64 * m);
          const std::int64_t offset = 64 * l + part * static_cast<std::int64_t>(kBytes);
          add_group([&](int user) { return *reinterpret_cast<const Word*>(at[i + user] + offset); }, digits);
        }
        flush(digits, planes, sums + l * kLineItems + part * static_cast<std::int64_t>(kBytes) * 8);
      }
  }
}

/// Moves what bits of `a` and `b` there are at distance `shift` under `mask` from one to the other.
FASTLAE_INLINE void swap_bits(Word& a, Word& b, int shift, std::uint64_t mask) {
  const Word moved = ((a >> shift) ^ b) & (Word{} + mask);
  b ^= moved;
  a ^= moved << shift;
}

template <class Count>
void count_line(const char* bits, const std::uint32_t* offsets, std::int64_t count, Count* counts) {
  unsigned char bytes[kLineItems];
  for (std::int64_t begin = 0; begin == 0 || begin < count; begin += kChunk) {
    const std::int64_t end = std::min(count, begin + kChunk);
    for (int part = 0; part < kParts; ++part) {
      const char* const from = bits + part * static_cast<std::int64_t>(kBytes);
      Word digits[kPlanes] = {};
      for (std::int64_t i = begin; i < end; i += kGroup)
        add_group([&](int row) { return *reinterpret_cast<const Word*>(from + offsets[i + row]); }, digits);
      // Bit r of byte b of every digit becomes byte b of word r: the bits of a byte are turned against the digits.
      for (int k = 0; k < 4; ++k) swap_bits(digits[k], digits[k + 4], 4, 0x0f0f0f0f0f0f0f0full);
      for (int k = 0; k < 8; k += k % 4 == 1 ? 3 : 1) swap_bits(digits[k], digits[k + 2], 2, 0x3333333333333333ull);
      for (int k = 0; k < 8; k += 2) swap_bits(digits[k], digits[k + 1], 1, 0x5555555555555555ull);
      std::memcpy(bytes + part * static_cast<std::int64_t>(kBytes) * 8, digits, sizeof digits);
    }
    if (begin == 0)
      for (std::int64_t j = 0; j < kLineItems; ++j) counts[j] = bytes[j];
    else
      for (std::int64_t j = 0; j < kLineItems; ++j) counts[j] = static_cast<Count>(counts[j] + bytes[j]);
  }
}

inline std::int64_t vector_bytes() {
  return kBytes;
}

template <class T, class Sum>
void move_row(Sum* __restrict sums, std::int64_t count, T* __restrict out) {
  for (std::int64_t j = 0; j < count; ++j) {
    out[j] = static_cast<T>(sums[j]);
    sums[j] = 0;
  }
}
