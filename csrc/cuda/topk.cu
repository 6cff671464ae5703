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

constexpr int kThreads = 256;            // of the kernels that only move data
constexpr int64_t kEnoughBlocks = 1024;  // to fill a device: with fewer rows, several blocks share one

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

/// Lists of all rows, part by part.
template <class T>
struct Lists {
  T* scores;
  int32_t* items;
  int64_t rows, k;

  __device__ List<T> of(int64_t part, int64_t u) const {
    const int64_t at = (part * rows + u) * k;
    return {scores + at, items + at, k};
  }
};

/// A block takes one row through its part of the tiles of columns [first, last): scores, hides, keeps what beats the
/// k-th best so far, and merges that into the row's list.
template <class T, class Rows>
__global__ void __launch_bounds__(kScoreThreads)
    select_kernel(Rows rows, Hidden hidden, int64_t first, int64_t last, Lists<T> lists) {
  __shared__ T tile[kScoreTile], scores[kScoreTile];
  __shared__ int32_t where[kScoreTile];
  __shared__ int count;
  const int64_t u = blockIdx.x;
  if (!rows.any(u)) return;
  const int64_t part = blockIdx.y, parts = gridDim.y, tiles = (last - first + kScoreTile - 1) / kScoreTile;
  const List<T> list = lists.of(part, u);
  last = smaller(last, first + tiles * (part + 1) / parts * kScoreTile);
  first += tiles * part / parts * kScoreTile;
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
    const T bar = list.scores[list.k - 1];
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

/// The first part's list of a row takes in those of the others, whose items are larger, and goes to the output.
template <class T>
__global__ void __launch_bounds__(kScoreThreads)
    collect_kernel(Lists<T> lists, int64_t parts, int32_t* items, float* best) {
  __shared__ T scores[kScoreTile];
  __shared__ int32_t where[kScoreTile];
  const int64_t u = blockIdx.x, k = lists.k;
  const List<T> list = lists.of(0, u);
  for (int64_t part = 1; part < parts; ++part) {
    const List<T> other = lists.of(part, u);
    for (int64_t begin = 0; begin < k; begin += kScoreTile) {
      const auto width = static_cast<int>(smaller<int64_t>(kScoreTile, k - begin));
      for (int c = static_cast<int>(threadIdx.x); c < width; c += kScoreThreads) {
        scores[c] = other.scores[begin + c];
        where[c] = other.items[begin + c];
      }
      __syncthreads();
      const int better = candidates_ahead_of(scores, width, list.scores[k - 1]);  // a tie with the last one loses
      __syncthreads();
      if (better > 0) merge(list, scores, where, better);
      __syncthreads();
      if (better < width) break;
    }
  }
  for (int64_t r = threadIdx.x; r < k; r += kScoreThreads) {
    items[u * k + r] = list.items[r];
    best[u * k + r] = static_cast<float>(list.scores[r]);
  }
}

int64_t parts_of(int64_t rows, int64_t n) {
  return rows == 0 ? 1 : std::clamp<int64_t>(kEnoughBlocks / rows, 1, std::max<int64_t>(1, blocks_for(n, kScoreTile)));
}

/// Empty lists, then all tiles of `n` columns. Many rows: one launch for each tile, so that W's part of it serves all
/// of them while it is in the cache. Few rows: one launch, where blocks share out the tiles of a row.
template <class T, class Rows>
void select(const Rows& rows, int64_t n, const Hidden& hidden, MatrixView<int32_t> items, MatrixView<float> scores,
            const DeviceContext& context) {
  const int64_t parts = parts_of(items.rows, n), count = items.rows * items.cols * parts;
  if (count == 0) return;
  Lists<T> lists{nullptr, items.data, items.rows, items.cols};
  bool in_place = false;
  if constexpr (std::is_same_v<T, float>) {
    in_place = parts == 1;
    lists.scores = scores.data;
  }
  if (!in_place) {
    Arena arena(context);
    lists.scores = arena.take<T>(count);
    lists.items = arena.take<int32_t>(count);
  }
  set_bytes(lists.items, 0xff, count * 4, context);
  launch(fill_kernel<T>, grid_size(blocks_for(count, kThreads)), kThreads, 0, context, lists.scores, T(-INFINITY),
         count);
  const int64_t step = parts == 1 ? kScoreTile : n;
  for (int64_t j = 0; j < n; j += step)
    launch(select_kernel<T, Rows>, dim3(static_cast<unsigned>(items.rows), static_cast<unsigned>(parts)), kScoreThreads,
           0, context, rows, hidden, j, std::min(n, j + step), lists);
  if (!in_place)
    launch(collect_kernel<T>, static_cast<unsigned>(items.rows), kScoreThreads, 0, context, lists, parts, items.data,
           scores.data);
}

}  // namespace

int64_t topk_workspace(int64_t rows, int64_t n, int64_t k, int64_t itemsize) {
  const int64_t parts = parts_of(rows, n), count = rows * k * parts;
  return itemsize == 4 && parts == 1 ? 0 : aligned(count * itemsize) + aligned(count * 4);
}

template <class T>
void topk(MatrixView<const T> s, const T* scale, const Hidden& hidden, MatrixView<int32_t> items,
          MatrixView<float> scores, const DeviceContext& context) {
  select<T>(DenseRows<T>{s, scale}, s.cols, hidden, items, scores, context);
}

template <class T>
void recommend(const DeviceCsr<T>& x, MatrixView<const T> w, const Hidden& hidden, MatrixView<int32_t> items,
               MatrixView<float> scores, const DeviceContext& context) {
  select<T>(SparseRows<T>{x, w}, w.cols, hidden, items, scores, context);
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
