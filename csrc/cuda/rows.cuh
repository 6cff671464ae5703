// What the kernels share that give a row to a block of threads: exponentials, and sums over the block.
#pragma once

#include <cmath>

#include "launch.cuh"

namespace fastlae::cuda {

__device__ __forceinline__ float exponential(float x) {
  return expf(x);
}
__device__ __forceinline__ double exponential(double x) {
  return exp(x);
}

/// The sum of what all `kThreads` of the block have, added as a tree; `shared` has a place for each.
template <int kThreads, class T>
__device__ __forceinline__ T block_sum(T value, T* shared) {
  static_assert((kThreads & (kThreads - 1)) == 0);
  shared[threadIdx.x] = value;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (static_cast<int>(threadIdx.x) < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    __syncthreads();
  }
  const T sum = shared[0];
  __syncthreads();
  return sum;
}

}  // namespace fastlae::cuda
