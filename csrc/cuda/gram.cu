#include <algorithm>
#include <type_traits>

#include "fastlae/cuda/gram.hpp"
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
/// meet.
template <class T, class Sum>
__global__ void __launch_bounds__(kGatherThreads, 2)
    gather_kernel(DeviceCsr<T> x, ByColumn by_column, const double* weights, int64_t tile_width, MatrixView<T> g) {
  FASTLAE_DYNAMIC_SHARED(Sum, sums);
  const int64_t i = blockIdx.x, j0 = blockIdx.y * tile_width;
  if (j0 > i) return;
  const int64_t width = smaller(tile_width, i + 1 - j0);
  for (int64_t c = threadIdx.x; c < width; c += kGatherThreads) sums[c] = Sum(0);
  __syncthreads();
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const bool whole = j0 == 0 && width == i + 1;
  const int64_t last = by_column.first[i + 1];
  for (int64_t at = by_column.first[i] + threadIdx.x / kWarpSize; at < last; at += kGatherThreads / kWarpSize) {
    const int64_t u = by_column.rows[at], own = by_column.entries[at];
    int64_t begin = x.indptr[u], end = own + 1;
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
  for (int64_t c = threadIdx.x; c < width; c += kGatherThreads) g.data[i * g.stride + j0 + c] = static_cast<T>(sums[c]);
}

template <class T, class Sum>
void gather(const DeviceCsr<T>& x, const ByColumn& by_column, const double* weights, MatrixView<T> g,
            const DeviceContext& context) {
  // Half of the shared memory, so that two blocks share a multiprocessor; then tiles of equal width.
  const int64_t most = (shared_memory(context.device) / 2 - (1 << 10) / 2) / static_cast<int64_t>(sizeof(Sum));
  const int64_t tiles = blocks_for(g.cols, most), width = blocks_for(g.cols, tiles);
  launch(gather_kernel<T, Sum>, dim3(static_cast<unsigned>(g.rows), static_cast<unsigned>(tiles)), kGatherThreads,
         width * static_cast<int64_t>(sizeof(Sum)), context, x, by_column, weights, width, g);
}

}  // namespace

int64_t gram_workspace(int64_t cols, int64_t nnz) {
  return aligned((cols + 1) * 8) + aligned(cols * 4) + aligned(nnz * 4) + aligned(nnz * 8);
}

template <class T>
void gram(const DeviceCsr<T>& x, const double* weights, MatrixView<T> g, const DeviceContext& context) {
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
  launch(transpose_kernel<T>, grid_size(blocks_for(x.rows, kThreads / kWarpSize)), kThreads, 0, context, x, by_column,
         counts);
  if (x.values == nullptr && weights == nullptr)
    gather<T, int32_t>(x, by_column, weights, g, context);
  else
    gather<T, double>(x, by_column, weights, g, context);
  mirror(g, context);
}

template void gram<float>(const DeviceCsr<float>&, const double*, MatrixView<float>, const DeviceContext&);
template void gram<double>(const DeviceCsr<double>&, const double*, MatrixView<double>, const DeviceContext&);

}  // namespace fastlae::cuda
