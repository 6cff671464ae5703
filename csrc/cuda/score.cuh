// A tile of scores of one row, for `score`, `topk` and `recommend`.
#pragma once

#include "launch.cuh"

namespace fastlae::cuda {

// A block makes a tile; a thread makes every 128th score of it. W's columns of a tile are some tens of megabytes, of
// which the rows that many users have stay in the second-level cache.
constexpr int kScoreThreads = 128, kScoresEach = 4, kScoreTile = kScoreThreads * kScoresEach;

/// Scores of sparse rows: X W.
template <class T>
struct SparseRows {
  DeviceCsr<T> x;
  MatrixView<const T> w;

  __device__ __forceinline__ bool any(std::int64_t u) const { return x.indptr[u] < x.indptr[u + 1]; }

  /// out[c] <- score of row u and column j + c, c < width; each thread writes its own.
  __device__ __forceinline__ void tile(std::int64_t u, std::int64_t j, std::int64_t width, T* out) const {
    T sums[kScoresEach] = {};
    const std::int64_t end = x.indptr[u + 1];
    const T* const first = w.data + j;
    FASTLAE_UNROLL_BY_4  // several rows of W on their way at a time; the sum keeps its order
        for (std::int64_t e = x.indptr[u]; e < end; ++e) {
      const T* const row = first + x.indices[e] * w.stride;
      const T value = x.values ? x.values[e] : T(1);
      FASTLAE_UNROLL
      for (int q = 0; q < kScoresEach; ++q) {
        const int c = static_cast<int>(threadIdx.x) + q * kScoreThreads;
        if (c < width) sums[q] += value * row[c];
      }
    }
    FASTLAE_UNROLL
    for (int q = 0; q < kScoresEach; ++q) {
      const int c = static_cast<int>(threadIdx.x) + q * kScoreThreads;
      if (c < width) out[c] = sums[q];
    }
  }
};

/// Scores that are there already, times a scale for every column.
template <class T>
struct DenseRows {
  MatrixView<const T> s;
  const T* scale;

  __device__ __forceinline__ bool any(std::int64_t) const { return true; }
  __device__ __forceinline__ void tile(std::int64_t u, std::int64_t j, std::int64_t width, T* out) const {
    for (std::int64_t c = threadIdx.x; c < width; c += kScoreThreads)
      out[c] = s.data[u * s.stride + j + c] * (scale ? scale[j + c] : T(1));
  }
};

}  // namespace fastlae::cuda
