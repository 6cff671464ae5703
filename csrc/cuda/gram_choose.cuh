// Which items are the head of the popularity curve, decided on the device, and their rows of bits.
#pragma once

#include <climits>

#include "gram_head.cuh"

namespace fastlae::cuda {

constexpr int kChooseThreads = 512, kFillThreads = 256;
constexpr int kBins = 128;  // of popularity, four for each power of two

// Seconds, estimated for an H200 from its data sheet, not measured: a pair by a shared atomic, whose index comes from
// the second-level cache at some 4 TB/s; an entry's visit to its row, three dependent reads of a warp (1.2 us, 4,000
// warps at work); one entry of the most popular item that is left, since one block has all of that item (16 warps); a
// bit; a multiply-add of bytes at half of mma.sync's rate.
struct HeadCosts {
  double pair = 1e-12, visit = 3e-10, longest = 7.5e-8, bit = 5e-11, multiply_add = 3.3e-15;
};

/// What the choice is made for.
struct HeadTask {
  std::int64_t users = 0, nnz = 0;
  int digits = 1;             // products of bytes that one needs
  std::int64_t at_least = 0;  // items, for tests; 0: what costs least
  HeadCosts costs;
};

/// The quarter of a power of two that a count of at least 1 is in.
__device__ __forceinline__ int popularity_bin(std::int32_t count) {
  int top = 0;
  while (count >> top > 1) ++top;
  return 4 * top + (top >= 2 ? count >> (top - 2) & 3 : count << (2 - top) & 3);
}

/// squares <- the sum over users of the square of their number of entries.
template <class T>
__global__ void squares_kernel(DeviceCsr<T> x, unsigned long long* squares) {
  unsigned long long own = 0;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * kFillThreads;
  for (std::int64_t u = static_cast<std::int64_t>(blockIdx.x) * kFillThreads + threadIdx.x; u < x.rows; u += step) {
    const auto count = static_cast<unsigned long long>(x.indptr[u + 1] - x.indptr[u]);
    own += count * count;
  }
  if (own > 0) atomicAdd(squares, own);
}

/// Fills `head.size`, `slots` and `items`, by one block. A user's pairs are taken to be spread as the entries are.
static __global__ void choose_head_kernel(const std::int32_t* counts, std::int64_t cols,
                                          const unsigned long long* squares, HeadTask task, Head head) {
  __shared__ std::int32_t items[kBins];
  __shared__ unsigned long long entries[kBins];
  __shared__ std::int32_t sums[kChooseThreads];
  __shared__ int lowest;
  const int t = static_cast<int>(threadIdx.x);
  for (int b = t; b < kBins; b += kChooseThreads) {
    items[b] = 0;
    entries[b] = 0;
  }
  __syncthreads();
  for (std::int64_t j = t; j < cols; j += kChooseThreads)
    if (counts[j] > 0) {
      const int bin = popularity_bin(counts[j]);
      atomicAdd(&items[bin], 1);
      atomicAdd(&entries[bin], static_cast<unsigned long long>(counts[j]));
    }
  __syncthreads();
  if (t == 0) {
    const HeadCosts c = task.costs;
    const double pairs = static_cast<double>(*squares), nnz = static_cast<double>(task.nnz);
    double best = INFINITY, taken = 0;
    std::int64_t size = 0;
    lowest = kBins;
    for (int b = kBins; b >= 0; --b) {  // the head is bins b and up; b = kBins: none
      if (b < kBins) {
        if (items[b] == 0) continue;
        size += items[b];
        taken += static_cast<double>(entries[b]);
      }
      if (size > head.capacity) break;
      int below = b - 1;
      while (below >= 0 && items[below] == 0) --below;
      const double longest = below < 0 ? 0.0 : ldexp(static_cast<double>(5 + below % 4), below / 4 - 2);
      const double left = nnz > 0 ? 1 - taken / nnz : 1, order = static_cast<double>(size);
      // Without a head, a row meets its columns up to its own only; with one, all of the user's.
      const double scatter = left * ((size > 0 ? 1.0 : 0.5) * c.pair * pairs + c.visit * nnz);
      const double products = c.multiply_add * task.digits * static_cast<double>(task.users) * order * order / 2;
      const double cost = (scatter > c.longest * longest ? scatter : c.longest * longest) + products + c.bit * taken;
      if (task.at_least > 0 || cost < best) {
        best = cost;
        lowest = b;
      }
      if (task.at_least > 0 && size >= task.at_least) break;
    }
  }
  __syncthreads();
  const std::int64_t part = (cols + kChooseThreads - 1) / kChooseThreads;
  const std::int64_t begin = smaller(cols, t * part), end = smaller(cols, begin + part);
  std::int32_t own = 0;
  for (std::int64_t j = begin; j < end; ++j) own += counts[j] > 0 && popularity_bin(counts[j]) >= lowest;
  sums[t] = own;
  __syncthreads();
  for (int distance = 1; distance < kChooseThreads; distance *= 2) {
    const std::int32_t before = t >= distance ? sums[t - distance] : 0;
    __syncthreads();
    sums[t] += before;
    __syncthreads();
  }
  std::int32_t at = sums[t] - own;
  for (std::int64_t j = begin; j < end; ++j) {
    const bool in = counts[j] > 0 && popularity_bin(counts[j]) >= lowest;
    head.slots[j] = in ? at : -1;
    if (in) head.items[at++] = static_cast<std::int32_t>(j);
  }
  if (t == kChooseThreads - 1) *head.size = sums[t];
}

/// Sets a bit for every entry whose item is in the head, a warp a row.
template <class T>
__global__ void bits_kernel(DeviceCsr<T> x, Head head) {
  if (!head.chosen()) return;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const std::int64_t warps = static_cast<std::int64_t>(gridDim.x) * (kFillThreads / kWarpSize);
  for (std::int64_t u = (static_cast<std::int64_t>(blockIdx.x) * kFillThreads + threadIdx.x) / kWarpSize; u < x.rows;
       u += warps)
    for (std::int64_t e = x.indptr[u] + lane; e < x.indptr[u + 1]; e += kWarpSize) {
      const std::int32_t slot = head.slots[x.indices[e]];
      if (slot >= 0) atomicOr(&head.bits[slot * head.words + u / 32], 1u << (u % 32));
    }
}

/// largest <- the largest weight; the bits of numbers of at least 0 are ordered as they are.
static __global__ void largest_kernel(const double* weights, std::int64_t users, double* largest) {
  double own = 0;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * kFillThreads;
  for (std::int64_t u = static_cast<std::int64_t>(blockIdx.x) * kFillThreads + threadIdx.x; u < users; u += step)
    own = weights[u] > own ? weights[u] : own;
  union {
    double number;
    unsigned long long bits;
  } result;
  result.number = own;
  if (result.bits != 0) atomicMax(reinterpret_cast<unsigned long long*>(largest), result.bits);
}

/// The digits of weights / largest, rounded to the last of them, in the order in which `head_kernel` reads them.
static __global__ void digits_kernel(const double* weights, std::int64_t users, Head head) {
  if (!head.chosen()) return;
  const double largest = *head.largest, most = ldexp(1.0, 8 * kDigits) - 1;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * kFillThreads, groups = 8 * head.words;
  for (std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * kFillThreads + threadIdx.x; at < groups; at += step) {
    std::uint32_t words[kDigits] = {};
    for (int b = 0; b < 4; ++b) {
      const std::int64_t u = 4 * at + b;
      const double share = u < users && largest > 0 ? weights[u] / largest : 0.0;
      const double scaled = ldexp(share, 8 * kDigits) + 0.5;
      auto number = static_cast<unsigned long long>(scaled < most ? scaled : most);
      for (int d = kDigits - 1; d >= 0; --d, number >>= 8)
        words[d] |= static_cast<std::uint32_t>(number & 255u) << 8 * b;
    }
    for (int d = 0; d < kDigits; ++d) head.digits[d * groups + at] = words[d];
  }
}

}  // namespace fastlae::cuda
