// A block of threads takes a row of scores; its sums are added as a tree.
#include <cstdint>

#include "fastlae/cuda/multinomial.hpp"
#include "rows.cuh"

namespace fastlae::cuda {

namespace {

constexpr int kThreads = 256, kBlocks = 4;    // of a multiprocessor, so many at least; left to itself, ptxas spills
constexpr std::int64_t kTile = 8 * kThreads;  // columns of a block of the backward pass

/// Exponentials are summed relative to the largest score so far, or to 0 where all are -infinity.
template <class T>
__device__ __forceinline__ T shift_of(T best) {
  return best > T(-INFINITY) ? best : T(0);
}

template <class T>
__device__ __forceinline__ double row_total(const DeviceCsr<T>& x, std::int64_t u, double* shared) {
  double total = 0;
  for (std::int64_t e = x.indptr[u] + threadIdx.x; e < x.indptr[u + 1]; e += kThreads)
    total += x.values ? static_cast<double>(x.values[e]) : 1.0;
  return block_sum<kThreads>(total, shared);
}

template <class T>
__global__ void __launch_bounds__(kThreads, kBlocks)
    multinomial_nll_kernel(MatrixView<const T> z, DeviceCsr<T> x, T* loss, T* lse) {
  __shared__ double sums[kThreads];
  __shared__ T bests[kThreads];
  for (std::int64_t u = blockIdx.x; u < z.rows; u += gridDim.x) {
    const T* const row = z.data + u * z.stride;
    T best = T(-INFINITY);
    double mass = 0;
    for (std::int64_t j = threadIdx.x; j < z.cols; j += kThreads) {
      const T value = row[j];  // NaN is not larger, and its exponential keeps it
      if (value > best) {
        mass *= static_cast<double>(exponential(best - value));
        best = value;
      }
      mass += static_cast<double>(exponential(value - shift_of(best)));
    }
    bests[threadIdx.x] = best;
    __syncthreads();
    for (int half = kThreads / 2; half > 0; half /= 2) {
      if (static_cast<int>(threadIdx.x) < half && bests[threadIdx.x + half] > bests[threadIdx.x])
        bests[threadIdx.x] = bests[threadIdx.x + half];
      __syncthreads();
    }
    const T shift = shift_of(bests[0]);
    // A thread that saw no score but -inf has best = -inf, so its factor is 0, not that of shift_of(best) = 0.
    const double sum = block_sum<kThreads>(mass * static_cast<double>(exponential(best - shift)), sums);
    const double total = row_total(x, u, sums);
    double part = 0;
    for (std::int64_t e = x.indptr[u] + threadIdx.x; e < x.indptr[u + 1]; e += kThreads)
      part += (x.values ? static_cast<double>(x.values[e]) : 1.0) * static_cast<double>(row[x.indices[e]]);
    const double explained = block_sum<kThreads>(part, sums);
    if (threadIdx.x == 0) {
      const double log_sum = static_cast<double>(shift) + log(sum);
      lse[u] = static_cast<T>(log_sum);
      loss[u] = static_cast<T>((total == 0 ? 0.0 : total * log_sum) - explained);
    }
    __syncthreads();
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads, kBlocks)
    multinomial_nll_backward_kernel(const T* grad, const T* lse, MatrixView<const T> z, DeviceCsr<T> x,
                                    MatrixView<T> dz) {
  __shared__ double sums[kThreads];
  const std::int64_t begin = static_cast<std::int64_t>(blockIdx.y) * kTile;
  const std::int64_t end = smaller<std::int64_t>(z.cols, begin + kTile);
  for (std::int64_t u = blockIdx.x; u < z.rows; u += gridDim.x) {
    const T scale = static_cast<T>(static_cast<double>(grad[u]) * row_total(x, u, sums));
    const T* const row = z.data + u * z.stride;
    T* const out = dz.data + u * dz.stride;
    for (std::int64_t j = begin + threadIdx.x; j < end; j += kThreads)
      out[j] = scale == T(0) ? T(0) : scale * exponential(row[j] - lse[u]);
    __syncthreads();
    const std::int64_t first = lower_bound(x.indices, x.indptr[u], x.indptr[u + 1], begin);
    for (std::int64_t e = first + threadIdx.x; e < x.indptr[u + 1] && x.indices[e] < end; e += kThreads)
      out[x.indices[e]] -= grad[u] * (x.values ? x.values[e] : T(1));
    __syncthreads();
  }
}

}  // namespace

template <class T>
void multinomial_nll(MatrixView<const T> z, const DeviceCsr<T>& x, T* loss, T* lse, const DeviceContext& context) {
  if (z.rows > 0) launch(multinomial_nll_kernel<T>, grid_size(z.rows), kThreads, 0, context, z, x, loss, lse);
}

template <class T>
void multinomial_nll_backward(const T* grad, const T* lse, MatrixView<const T> z, const DeviceCsr<T>& x,
                              MatrixView<T> dz, const DeviceContext& context) {
  if (z.rows == 0 || z.cols == 0) return;
  launch(multinomial_nll_backward_kernel<T>, dim3(grid_size(z.rows), static_cast<unsigned>(blocks_for(z.cols, kTile))),
         kThreads, 0, context, grad, lse, z, x, dz);
}

#define FASTLAE_INSTANTIATE(T)                                                                              \
  template void multinomial_nll<T>(MatrixView<const T>, const DeviceCsr<T>&, T*, T*, const DeviceContext&); \
  template void multinomial_nll_backward<T>(const T*, const T*, MatrixView<const T>, const DeviceCsr<T>&,   \
                                            MatrixView<T>, const DeviceContext&);
FASTLAE_INSTANTIATE(float)
FASTLAE_INSTANTIATE(double)
#undef FASTLAE_INSTANTIATE

}  // namespace fastlae::cuda
