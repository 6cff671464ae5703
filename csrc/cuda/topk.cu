#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "fastlae/cuda/topk.hpp"
#include "score.cuh"

namespace fastlae::cuda {

namespace {

using std::int32_t;
using std::int64_t;

constexpr int kThreads = 256;       // of the kernels that only move data
constexpr int64_t kFewRows = 1024;  // up to here, one launch walks all tiles: there is little of W to share

/// Whether candidate (score, item) comes before the other: larger first, ties to the smaller item.
template <class T>
__device__ __forceinline__ bool before(T score, int32_t item, T other_score, int32_t other_item) {
  return score > other_score || (score == other_score && item < other_item);
}

/// The first `count` candidates in order, by a bitonic network over the next power of two. All threads of a block.
template <class T>
__device__ void sort(T* scores, int32_t* items, int count) {
  int size = 1;
  while (size < count) size *= 2;
  for (int at = count + static_cast<int>(threadIdx.x); at < size; at += kScoreThreads) {
    scores[at] = T(-INFINITY);
    items[at] = INT32_MAX;
  }
  __syncthreads();
  for (int run = 2; run <= size; run *= 2)
    for (int distance = run / 2; distance > 0; distance /= 2) {
      for (int pair = static_cast<int>(threadIdx.x); pair < size / 2; pair += kScoreThreads) {
        const int low = 2 * pair - (pair & (distance - 1)), high = low + distance;
        const bool forward = (low & run) == 0;
        if (before(scores[high], items[high], scores[low], items[low]) == forward) {
          const T score = scores[low];
          const int32_t item = items[low];
          scores[low] = scores[high];
          items[low] = items[high];
          scores[high] = score;
          items[high] = item;
        }
      }
      __syncthreads();
    }
}

/// A list of k, in order, of a row; empty slots hold -inf and -1, and lie at the end.
template <class T>
struct List {
  T* scores;
  int32_t* items;
  int64_t k;

  /// How many of the list come before a score of a larger item: ties are theirs.
  __device__ int64_t ahead_of(T score) const {
    int64_t begin = 0, end = k;
    while (begin < end) {
      const int64_t middle = begin + (end - begin) / 2;
      if (scores[middle] >= score)
        begin = middle + 1;
      else
        end = middle;
    }
    return begin;
  }
};

/// How many of `count` ordered candidates come before a list's entry of that score: all that are larger.
template <class T>
__device__ int candidates_ahead_of(const T* scores, int count, T score) {
  int begin = 0, end = count;
  while (begin < end) {
    const int middle = begin + (end - begin) / 2;
    if (scores[middle] > score)
      begin = middle + 1;
    else
      end = middle;
  }
  return begin;
}

/// Merges ordered candidates, whose items are larger than those of the list, into it. All threads of a block.
///
/// Every entry goes to the place that its rank says. The list's own move to the right only, so that they can be moved
/// in place from the right end on, a block of threads at a time.
template <class T>
__device__ void merge(const List<T>& list, const T* scores, const int32_t* items, int count) {
  int64_t place[kScoresEach];
  FASTLAE_UNROLL
  for (int q = 0; q < kScoresEach; ++q) {
    const int c = static_cast<int>(threadIdx.x) + q * kScoreThreads;
    place[q] = c < count ? c + list.ahead_of(scores[c]) : list.k;
  }
  const int64_t untouched = list.ahead_of(scores[0]);
  for (int64_t end = list.k; end > untouched; end -= kScoreThreads) {
    const int64_t p = end - kScoreThreads + threadIdx.x;
    const bool moves = p >= untouched;
    T score{};
    int32_t item = 0;
    int64_t to = list.k;
    if (moves) {
      score = list.scores[p];
      item = list.items[p];
      to = p + candidates_ahead_of(scores, count, score);
    }
    __syncthreads();
    if (to < list.k) {
      list.scores[to] = score;
      list.items[to] = item;
    }
    __syncthreads();
  }
  __syncthreads();  // all ranks are known before the first candidate is written
  FASTLAE_UNROLL
  for (int q = 0; q < kScoresEach; ++q) {
    const int c = static_cast<int>(threadIdx.x) + q * kScoreThreads;
    if (place[q] < list.k) {
      list.scores[place[q]] = scores[c];
      list.items[place[q]] = items[c];
    }
  }
}

/// A block takes one row through tiles of columns [first, last): scores, hides, keeps what beats the k-th best so far,
/// and merges that into the row's list.
template <class T, class Rows>
__global__ void __launch_bounds__(kScoreThreads)
    select_kernel(Rows rows, Hidden hidden, int64_t first, int64_t last, int64_t k, int32_t* items, T* best) {
  __shared__ T tile[kScoreTile], scores[kScoreTile];
  __shared__ int32_t where[kScoreTile];
  __shared__ int count;
  const int64_t u = blockIdx.x;
  if (!rows.any(u)) return;
  const List<T> list{best + u * k, items + u * k, k};
  const T never = T(-INFINITY);
  for (int64_t j = first; j < last; j += kScoreTile) {
    const int64_t width = smaller<int64_t>(kScoreTile, last - j);
    rows.tile(u, j, width, tile);
    if (threadIdx.x == 0) count = 0;
    __syncthreads();
    if (hidden.indptr) {
      const int64_t end = hidden.indptr[u + 1];
      int64_t e = lower_bound(hidden.indices, hidden.indptr[u], end, j) + threadIdx.x;
      for (; e < end && hidden.indices[e] < j + width; e += kScoreThreads) tile[hidden.indices[e] - j] = never;
      __syncthreads();
    }
    const T bar = list.scores[k - 1];
    for (int c = static_cast<int>(threadIdx.x); c < width; c += kScoreThreads)
      if (tile[c] > bar && !(hidden.columns && hidden.columns[j + c])) {
        const int at = atomicAdd(&count, 1);
        scores[at] = tile[c];
        where[at] = static_cast<int32_t>(j + c);
      }
    __syncthreads();
    const int found = count;
    if (found > 0) {
      sort(scores, where, found);
      merge(list, scores, where, found);
    }
    __syncthreads();
  }
}

template <class T>
__global__ void fill_kernel(T* to, T value, int64_t count) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; at < count; at += step) to[at] = value;
}

__global__ void round_kernel(const double* from, float* to, int64_t count) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; at < count; at += step)
    to[at] = static_cast<float>(from[at]);
}

/// Empty lists, then all tiles of `n` columns: one launch for each, so that W's part of a tile serves all rows while it
/// is in the cache, or one launch for all.
template <class T, class Rows>
void select(const Rows& rows, int64_t n, bool tile_by_tile, const Hidden& hidden, MatrixView<int32_t> items,
            MatrixView<float> scores, const DeviceContext& context) {
  const int64_t count = items.rows * items.cols;
  if (count == 0) return;
  T* best;
  if constexpr (std::is_same_v<T, float>)
    best = scores.data;
  else
    best = Arena(context).take<T>(count);
  const unsigned grid = grid_size(blocks_for(count, kThreads));
  set_bytes(items.data, 0xff, count * 4, context);
  launch(fill_kernel<T>, grid, kThreads, 0, context, best, T(-INFINITY), count);
  const int64_t step = tile_by_tile ? kScoreTile : std::max<int64_t>(n, 1);
  for (int64_t j = 0; j < n; j += step)
    launch(select_kernel<T, Rows>, static_cast<unsigned>(items.rows), kScoreThreads, 0, context, rows, hidden, j,
           std::min(n, j + step), items.cols, items.data, best);
  if constexpr (!std::is_same_v<T, float>) launch(round_kernel, grid, kThreads, 0, context, best, scores.data, count);
}

}  // namespace

int64_t topk_workspace(int64_t rows, int64_t k, int64_t itemsize) {
  return itemsize == 4 ? 0 : aligned(rows * k * itemsize);
}

template <class T>
void topk(MatrixView<const T> s, const T* scale, const Hidden& hidden, MatrixView<int32_t> items,
          MatrixView<float> scores, const DeviceContext& context) {
  select<T>(DenseRows<T>{s, scale}, s.cols, false, hidden, items, scores, context);
}

template <class T>
void recommend(const DeviceCsr<T>& x, MatrixView<const T> w, const Hidden& hidden, MatrixView<int32_t> items,
               MatrixView<float> scores, const DeviceContext& context) {
  select<T>(SparseRows<T>{x, w}, w.cols, x.rows > kFewRows, hidden, items, scores, context);
}

#define FASTLAE_INSTANTIATE(T)                                                                                \
  template void topk<T>(MatrixView<const T>, const T*, const Hidden&, MatrixView<int32_t>, MatrixView<float>, \
                        const DeviceContext&);                                                                \
  template void recommend<T>(const DeviceCsr<T>&, MatrixView<const T>, const Hidden&, MatrixView<int32_t>,    \
                             MatrixView<float>, const DeviceContext&);
FASTLAE_INSTANTIATE(float)
FASTLAE_INSTANTIATE(double)
#undef FASTLAE_INSTANTIATE

}  // namespace fastlae::cuda
