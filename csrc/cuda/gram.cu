#include <algorithm>
#include <type_traits>

#include "fastlae/cuda/gram.hpp"
#include "gram_choose.cuh"
#include "launch.cuh"
#include "mirror.cuh"

namespace fastlae::cuda {

namespace {

using std::int32_t;
using std::int64_t;

constexpr int kThreads = 256;
constexpr int kScanThreads = 1024;
constexpr int kGatherThreads = 512;

/// For every column the rows that hold it, in any order.
struct ByColumn {
  int64_t* first;    // (cols + 1) where the entries of a column begin in the two others
  int32_t* rows;     // (nnz)
  int64_t* entries;  // (nnz) positions in the matrix by rows
};

template <class T>
__global__ void count_kernel(DeviceCsr<T> x, int32_t* counts) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t e = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; e < x.nnz; e += step)
    atomicAdd(&counts[x.indices[e]], 1);
}

/// first <- exclusive sums of counts, by one block: there are no more columns than fit in a Gram matrix.
__global__ void scan_kernel(const int32_t* counts, int64_t n, int64_t* first) {
  __shared__ int64_t sums[kScanThreads];
  const int t = static_cast<int>(threadIdx.x);
  const int64_t part = (n + kScanThreads - 1) / kScanThreads;
  const int64_t begin = smaller(n, t * part), end = smaller(n, begin + part);
  int64_t own = 0;
  for (int64_t j = begin; j < end; ++j) own += counts[j];
  sums[t] = own;
  __syncthreads();
  for (int distance = 1; distance < kScanThreads; distance *= 2) {
    const int64_t before = t >= distance ? sums[t - distance] : 0;
    __syncthreads();
    sums[t] += before;
    __syncthreads();
  }
  int64_t at = sums[t] - own;
  for (int64_t j = begin; j < end; ++j) {
    first[j] = at;
    at += counts[j];
  }
  if (t == kScanThreads - 1) first[n] = sums[t];
}

/// Fills `by_column`, a warp a row; `left` holds the number of entries that a column has yet to receive.
template <class T>
__global__ void transpose_kernel(DeviceCsr<T> x, ByColumn by_column, int32_t* left) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int64_t warps = static_cast<int64_t>(gridDim.x) * (kThreads / kWarpSize);
  for (int64_t u = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) / kWarpSize; u < x.rows; u += warps) {
    const int64_t end = x.indptr[u + 1];
    for (int64_t e = x.indptr[u] + lane; e < end; e += kWarpSize) {
      const int32_t j = x.indices[e];
      const int64_t at = by_column.first[j] + atomicAdd(&left[j], -1) - 1;
      by_column.rows[at] = static_cast<int32_t>(u);
      by_column.entries[at] = e;
    }
  }
}

/// Row i of the lower triangle, columns [j0, j0 + width), by one block: for every row of X that holds i, a warp adds
/// the row's entries up to i to sums in shared memory. A row has a column at most once, so the lanes of a warp never
/// meet. With a head, its own rows are left out, and row i takes all of its columns, those beyond i for the column's
/// row.
template <class T, class Sum>
__global__ void __launch_bounds__(kGatherThreads, 2)
    gather_kernel(DeviceCsr<T> x, ByColumn by_column, const double* weights, int64_t tile_width, Head head,
                  MatrixView<T> g) {
  FASTLAE_DYNAMIC_SHARED(Sum, sums);
  const int64_t i = blockIdx.x, j0 = blockIdx.y * tile_width;
  const bool headed = head.chosen();
  if (headed ? head.slots[i] >= 0 : j0 > i) return;
  const int64_t width = smaller(tile_width, (headed ? g.cols : i + 1) - j0);
  for (int64_t c = threadIdx.x; c < width; c += kGatherThreads) sums[c] = Sum(0);
  __syncthreads();
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const bool whole = j0 == 0 && width == (headed ? g.cols : i + 1);
  const int64_t last = by_column.first[i + 1];
  for (int64_t at = by_column.first[i] + threadIdx.x / kWarpSize; at < last; at += kGatherThreads / kWarpSize) {
    const int64_t u = by_column.rows[at], own = by_column.entries[at];
    int64_t begin = x.indptr[u], end = headed ? x.indptr[u + 1] : own + 1;
    if (!whole) {
      begin = lower_bound(x.indices, begin, end, j0);
      end = lower_bound(x.indices, begin, end, j0 + width);
    }
    if constexpr (std::is_integral_v<Sum>) {
      for (int64_t e = begin + lane; e < end; e += kWarpSize) atomicAdd(&sums[x.indices[e] - j0], Sum(1));
    } else {
      const double scale = (weights ? weights[u] : 1.0) * (x.values ? static_cast<double>(x.values[own]) : 1.0);
      for (int64_t e = begin + lane; e < end; e += kWarpSize)
        atomicAdd(&sums[x.indices[e] - j0], scale * (x.values ? static_cast<double>(x.values[e]) : 1.0));
    }
  }
  __syncthreads();
  for (int64_t c = threadIdx.x; c < width; c += kGatherThreads) {
    const int64_t j = j0 + c;
    if (j <= i)
      g.data[i * g.stride + j] = static_cast<T>(sums[c]);
    else if (head.slots[j] >= 0)
      g.data[j * g.stride + i] = static_cast<T>(sums[c]);
  }
}

template <class T, class Sum>
void gather(const DeviceCsr<T>& x, const ByColumn& by_column, const double* weights, const Head& head, MatrixView<T> g,
            const DeviceContext& context) {
  // Half of the shared memory, so that two blocks share a multiprocessor; then tiles of equal width.
  const int64_t most = (shared_memory(context.device) / 2 - (1 << 10) / 2) / static_cast<int64_t>(sizeof(Sum));
  const int64_t tiles = blocks_for(g.cols, most), width = blocks_for(g.cols, tiles);
  launch(gather_kernel<T, Sum>, dim3(static_cast<unsigned>(g.rows), static_cast<unsigned>(tiles)), kGatherThreads,
         width * static_cast<int64_t>(sizeof(Sum)), context, x, by_column, weights, width, head, g);
}

/// The shape of a head for so many users and items; none where sums could overflow, or nothing could be gained.
Head head_shape(int64_t users, int64_t cols) {
  constexpr int64_t kMostItems = 4096, kMostBytes = 1 << 30;
  static_assert(kMostItems % kHeadRows == 0 && kMostItems % kHeadColumns == 0);
  Head head;
  if (users < 1 || users >= std::numeric_limits<int32_t>::max() / 255) return head;
  head.words = blocks_for(users, 32 * kHeadWords) * kHeadWords;
  constexpr int64_t kStep = kHeadRows > kHeadColumns ? kHeadRows : kHeadColumns;
  const int64_t fits = std::min({kMostItems, kMostBytes / (4 * head.words), blocks_for(cols, kStep) * kStep});
  head.capacity = fits / kStep * kStep;
  return head;
}

int64_t head_bytes(const Head& head, int64_t cols) {
  if (head.capacity == 0) return 0;
  return 3 * aligned(8) + aligned(cols * 4) + aligned(head.capacity * 4) + aligned(head.capacity * head.words * 4) +
         aligned(kDigits * 8 * head.words * 4);
}

/// Chooses the head and multiplies it, all of it queued; empty where there is none.
template <class T>
Head multiply_head(const DeviceCsr<T>& x, const int32_t* counts, const double* weights, int64_t at_least,
                   MatrixView<T> g, Arena& arena, const DeviceContext& context) {
  Head head = head_shape(x.rows, x.cols);
  if (x.values != nullptr || at_least < 0 || head.capacity == 0) return {};
  if (weights != nullptr && sizeof(T) > 4) return {};  // 40 bits of the weights are not enough for double
  head.size = arena.take<int32_t>(1);
  head.largest = arena.take<double>(1);
  auto* const squares = arena.take<unsigned long long>(1);
  head.slots = arena.take<int32_t>(x.cols);
  head.items = arena.take<int32_t>(head.capacity);
  head.bits = arena.take<std::uint32_t>(head.capacity * head.words);
  head.digits = arena.take<std::uint32_t>(kDigits * 8 * head.words);
  set_bytes(squares, 0, 8, context);
  set_bytes(head.largest, 0, 8, context);
  set_bytes(head.bits, 0, head.capacity * head.words * 4, context);
  const HeadTask task{x.rows, x.nnz, weights ? kDigits : 1, at_least, {}};
  const unsigned rows_grid = grid_size(blocks_for(x.rows, kFillThreads));
  launch(squares_kernel<T>, rows_grid, kFillThreads, 0, context, x, squares);
  launch(choose_head_kernel, 1, kChooseThreads, 0, context, counts, x.cols, squares, task, head);
  launch(bits_kernel<T>, grid_size(blocks_for(x.rows, kFillThreads / kWarpSize)), kFillThreads, 0, context, x, head);
  const dim3 grid(static_cast<unsigned>(head.capacity / kHeadColumns),
                  static_cast<unsigned>(head.capacity / kHeadRows));
  if (weights == nullptr) {
    launch(head_kernel<T, false>, grid, kHeadThreads, 0, context, head, g);
    return head;
  }
  launch(largest_kernel, rows_grid, kFillThreads, 0, context, weights, x.rows, head.largest);
  launch(digits_kernel, grid_size(blocks_for(8 * head.words, kFillThreads)), kFillThreads, 0, context, weights, x.rows,
         head);
  launch(head_kernel<T, true>, grid, kHeadThreads, 0, context, head, g);
  return head;
}

}  // namespace

int64_t gram_workspace(int64_t users, int64_t cols, int64_t nnz) {
  return aligned((cols + 1) * 8) + aligned(cols * 4) + aligned(nnz * 4) + aligned(nnz * 8) +
         head_bytes(head_shape(users, cols), cols);
}

template <class T>
void gram(const DeviceCsr<T>& x, const double* weights, MatrixView<T> g, int64_t head_items,
          const DeviceContext& context) {
  if (g.cols == 0) return;
  Arena arena(context);
  ByColumn by_column{};
  by_column.first = arena.take<int64_t>(x.cols + 1);
  auto* const counts = arena.take<int32_t>(x.cols);
  by_column.rows = arena.take<int32_t>(x.nnz);
  by_column.entries = arena.take<int64_t>(x.nnz);
  set_bytes(counts, 0, x.cols * 4, context);
  launch(count_kernel<T>, grid_size(blocks_for(x.nnz, kThreads)), kThreads, 0, context, x, counts);
  launch(scan_kernel, 1, kScanThreads, 0, context, counts, x.cols, by_column.first);
  const Head head = multiply_head(x, counts, weights, head_items, g, arena, context);
  launch(transpose_kernel<T>, grid_size(blocks_for(x.rows, kThreads / kWarpSize)), kThreads, 0, context, x, by_column,
         counts);
  if (x.values == nullptr && weights == nullptr)
    gather<T, int32_t>(x, by_column, weights, head, g, context);
  else
    gather<T, double>(x, by_column, weights, head, g, context);
  mirror(g, context);
}

template void gram<float>(const DeviceCsr<float>&, const double*, MatrixView<float>, int64_t, const DeviceContext&);
template void gram<double>(const DeviceCsr<double>&, const double*, MatrixView<double>, int64_t, const DeviceContext&);

}  // namespace fastlae::cuda
