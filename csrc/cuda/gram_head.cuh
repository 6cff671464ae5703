// The head of the popularity curve for the Gram matrix: the items that most pairs belong to, as rows of bits, one for
// each user, multiplied on tensor cores.
#pragma once

#include "launch.cuh"
#include "mma.cuh"

namespace fastlae::cuda {

/// The chosen items. All of it is decided and kept on the device: the host never waits to learn it.
struct Head {
  std::int64_t capacity = 0;        // items at most; 0: there is no head
  std::int64_t words = 0;           // of a row of bits, a multiple of kHeadWords
  std::int32_t* size = nullptr;     // (1) items chosen
  std::int32_t* slots = nullptr;    // (cols) place of a column in the head, ascending, or -1
  std::int32_t* items = nullptr;    // (capacity) the column at a place
  std::uint32_t* bits = nullptr;    // (capacity, words) who has the item
  std::uint32_t* digits = nullptr;  // (kDigits, 8 words) weights of users, four in a word; null without
  double* largest = nullptr;        // (1) weight

  __device__ __forceinline__ bool chosen() const { return capacity > 0 && *size > 0; }
};

constexpr std::int64_t kHeadWords = 4;  // read at a time: 128 users
constexpr int kDigits = 5;              // a weight is 40 bits of the largest one, in base 256
// What a warp and a block make of the product, in tiles of 16 x 8. The emulation has small ones.
#ifdef __CUDACC__
constexpr int kRowTiles = 4, kColumnTiles = 4, kRowWarps = 2, kColumnWarps = 4;
#else
constexpr int kRowTiles = 2, kColumnTiles = 1, kRowWarps = 2, kColumnWarps = 2;
#endif
constexpr int kHeadThreads = kRowWarps * kColumnWarps * kWarpSize;
constexpr int kWarpRows = 16 * kRowTiles, kWarpColumns = 8 * kColumnTiles;
constexpr int kHeadRows = kRowWarps * kWarpRows, kHeadColumns = kColumnWarps * kWarpColumns;

/// Four bits of 0 or 1 as four bytes of 0 or 1: their copies, 7 apart, never meet.
__device__ __forceinline__ std::uint32_t four_bytes(std::uint32_t bits) {
  return (bits & 15u) * 0x00204081u & 0x01010101u;
}

/// Words that lie together and on a boundary of 16 bytes.
__device__ __forceinline__ void load_words(const std::uint32_t* from, std::uint32_t (&to)[kHeadWords]) {
#ifdef __CUDACC__
  const uint4 four = *reinterpret_cast<const uint4*>(from);
  to[0] = four.x, to[1] = four.y, to[2] = four.z, to[3] = four.w;
#else
  for (int w = 0; w < kHeadWords; ++w) to[w] = from[w];
#endif
}

/// Block (y, x) of the lower triangle of B B^T, or of B diag(weights) B^T digit by digit, the smallest first, to g.
///
/// Lane t of four takes byte t of every word, for both operands, so the 32 users of a word stand in the same order in
/// both.
template <class T, bool kWeighted>
__global__ void __launch_bounds__(kHeadThreads) head_kernel(Head head, MatrixView<T> g) {
  const int size = *head.size, lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize, place = lane / 4, part = lane % 4;
  const int i0 = static_cast<int>(blockIdx.y) * kHeadRows + warp / kColumnWarps * kWarpRows;
  const int j0 = static_cast<int>(blockIdx.x) * kHeadColumns + warp % kColumnWarps * kWarpColumns;
  if (i0 >= size || j0 >= size || i0 + kWarpRows <= j0) return;  // the warp as a whole; there are no barriers
  const std::uint32_t* const rows = head.bits + (i0 + place) * head.words;
  const std::uint32_t* const columns = head.bits + (j0 + place) * head.words;
  for (int digit = kWeighted ? kDigits - 1 : 0; digit >= 0; --digit) {
    std::int32_t sums[kRowTiles][kColumnTiles][4] = {};
    for (std::int64_t at = 0; at < head.words; at += kHeadWords) {
      std::uint32_t left[kRowTiles][2][kHeadWords], right[kColumnTiles][kHeadWords];
      FASTLAE_UNROLL
      for (int r = 0; r < kRowTiles; ++r) FASTLAE_UNROLL
      for (int h = 0; h < 2; ++h) load_words(rows + (16 * r + 8 * h) * head.words + at, left[r][h]);
      FASTLAE_UNROLL
      for (int c = 0; c < kColumnTiles; ++c) load_words(columns + 8 * c * head.words + at, right[c]);
      FASTLAE_UNROLL
      for (int w = 0; w < kHeadWords; ++w) {
        std::uint32_t weight[2] = {};
        if constexpr (kWeighted) {
          const std::uint32_t* const of_word = head.digits + 8 * (digit * head.words + at + w) + 2 * part;
          weight[0] = of_word[0];
          weight[1] = of_word[1];
        }
        std::uint32_t b[kColumnTiles][2];
        FASTLAE_UNROLL
        for (int c = 0; c < kColumnTiles; ++c) FASTLAE_UNROLL
        for (int h = 0; h < 2; ++h) {
          b[c][h] = four_bytes(right[c][w] >> (8 * part + 4 * h));
          if constexpr (kWeighted) b[c][h] = b[c][h] * 255u & weight[h];
        }
        FASTLAE_UNROLL
        for (int r = 0; r < kRowTiles; ++r) {
          const std::uint32_t low = left[r][0][w] >> 8 * part, high = left[r][1][w] >> 8 * part;
          const std::uint32_t a[4] = {four_bytes(low), four_bytes(high), four_bytes(low >> 4), four_bytes(high >> 4)};
          FASTLAE_UNROLL
          for (int c = 0; c < kColumnTiles; ++c) multiply_bytes(sums[r][c], a, b[c]);
        }
      }
    }
    double unit = 1;
    if constexpr (kWeighted) {
      unit = *head.largest;
      for (int d = 0; d <= digit; ++d) unit /= 256;
    }
    FASTLAE_UNROLL
    for (int r = 0; r < kRowTiles; ++r) FASTLAE_UNROLL
    for (int c = 0; c < kColumnTiles; ++c) FASTLAE_UNROLL
    for (int own = 0; own < 4; ++own) {
      const int i = i0 + 16 * r + 8 * (own / 2) + place, j = j0 + 8 * c + 2 * part + own % 2;
      if (i >= size || j > i) continue;
      T* const to = g.data + head.items[i] * g.stride + head.items[j];
      const double before = kWeighted && digit < kDigits - 1 ? static_cast<double>(*to) : 0.0;
      *to = static_cast<T>(before + unit * sums[r][c][own]);
    }
  }
}

}  // namespace fastlae::cuda
