#include <cstdint>

#include "fastlae/cuda/score.hpp"
#include "score.cuh"

namespace fastlae::cuda {

namespace {

/// Blocks of one tile of columns for all rows come one after the other, so that they share W's part.
template <class T>
__global__ void __launch_bounds__(kScoreThreads) score_kernel(SparseRows<T> rows, MatrixView<T> s) {
  const std::int64_t u = blockIdx.x, j = static_cast<std::int64_t>(blockIdx.y) * kScoreTile;
  rows.tile(u, j, smaller<std::int64_t>(kScoreTile, s.cols - j), s.data + u * s.stride + j);
}

constexpr int kPairThreads = 256, kPairWarps = kPairThreads / kWarpSize;

/// A block has a row of X, and goes through the rows of W that it needs one after the other, so that every score is
/// summed in the order of the row's entries. A row of W has a column at most once.
template <class T>
__global__ void __launch_bounds__(kPairThreads) score_sparse_kernel(DeviceCsr<T> x, DeviceCsr<T> w, MatrixView<T> s) {
  for (std::int64_t u = blockIdx.x; u < x.rows; u += gridDim.x) {
    T* const to = s.data + u * s.stride;
    for (std::int64_t j = threadIdx.x; j < s.cols; j += kPairThreads) to[j] = T(0);
    for (std::int64_t e = x.indptr[u]; e < x.indptr[u + 1]; ++e) {
      __syncthreads();
      const std::int32_t i = x.indices[e];
      const T value = x.values ? x.values[e] : T(1);
      for (std::int64_t f = w.indptr[i] + threadIdx.x; f < w.indptr[i + 1]; f += kPairThreads)
        to[w.indices[f]] += value * (w.values ? w.values[f] : T(1));
    }
  }
}

/// A block has a row of X; a warp takes every eighth of its entries, a lane every 32nd of the pairs of that one. The
/// order of the sum depends on nothing else.
template <class T>
__global__ void __launch_bounds__(kPairThreads)
    quadratic_diagonal_kernel(DeviceCsr<T> x, MatrixView<const T> m, double* q) {
  __shared__ double sums[kPairThreads];
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize, warp = static_cast<int>(threadIdx.x) / kWarpSize;
  for (std::int64_t i = blockIdx.x; i < x.rows; i += gridDim.x) {
    const std::int64_t begin = x.indptr[i], end = x.indptr[i + 1];
    double total = 0;
    for (std::int64_t e = begin + warp; e < end; e += kPairWarps) {
      const T* const row = m.data + x.indices[e] * m.stride;
      double sum = 0;
      for (std::int64_t f = begin + lane; f < end; f += kWarpSize)
        sum += (x.values ? static_cast<double>(x.values[f]) : 1.0) * static_cast<double>(row[x.indices[f]]);
      total += (x.values ? static_cast<double>(x.values[e]) : 1.0) * sum;
    }
    sums[threadIdx.x] = total;
    __syncthreads();
    for (int half = kPairThreads / 2; half > 0; half /= 2) {
      if (static_cast<int>(threadIdx.x) < half) sums[threadIdx.x] += sums[threadIdx.x + half];
      __syncthreads();
    }
    if (threadIdx.x == 0) q[i] = sums[0];
    __syncthreads();
  }
}

}  // namespace

template <class T>
void score(const DeviceCsr<T>& x, MatrixView<const T> w, MatrixView<T> s, const DeviceContext& context) {
  if (s.rows == 0 || s.cols == 0) return;
  launch(score_kernel<T>, dim3(static_cast<unsigned>(s.rows), static_cast<unsigned>(blocks_for(s.cols, kScoreTile))),
         kScoreThreads, 0, context, SparseRows<T>{x, w}, s);
}

template <class T>
void score_sparse(const DeviceCsr<T>& x, const DeviceCsr<T>& w, MatrixView<T> s, const DeviceContext& context) {
  if (s.rows == 0 || s.cols == 0) return;
  launch(score_sparse_kernel<T>, grid_size(s.rows), kPairThreads, 0, context, x, w, s);
}

template <class T>
void quadratic_diagonal(const DeviceCsr<T>& x, MatrixView<const T> m, double* q, const DeviceContext& context) {
  if (x.rows > 0) launch(quadratic_diagonal_kernel<T>, grid_size(x.rows), kPairThreads, 0, context, x, m, q);
}

#define FASTLAE_INSTANTIATE(T)                                                                                  \
  template void score<T>(const DeviceCsr<T>&, MatrixView<const T>, MatrixView<T>, const DeviceContext&);        \
  template void score_sparse<T>(const DeviceCsr<T>&, const DeviceCsr<T>&, MatrixView<T>, const DeviceContext&); \
  template void quadratic_diagonal<T>(const DeviceCsr<T>&, MatrixView<const T>, double*, const DeviceContext&);
FASTLAE_INSTANTIATE(float)
FASTLAE_INSTANTIATE(double)
#undef FASTLAE_INSTANTIATE

}  // namespace fastlae::cuda
