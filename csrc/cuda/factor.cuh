// Cholesky factor and its inverse of one small block, by one block of threads, in registers.
#pragma once

#include "launch.cuh"

namespace fastlae::cuda {

constexpr int kFactorSide = 16, kFactorThreads = kFactorSide * kFactorSide;

/// Order of the largest such block: a thread holds every 16th row and column of it and of the inverse.
template <class T>
constexpr int kFactorOrder = sizeof(T) == 4 ? 128 : 64;

/// a <- L^-1, upper part zero. The first pivot that is not positive goes to info, and every later call returns at once.
///
/// One elimination makes both: M begins as the identity, and what step j does to the rows below j of A, it does to
/// those of M. Column j of A and row j of M go through shared memory, in two buffers by turns, so that one barrier a
/// step is enough.
template <class T>
__global__ void __launch_bounds__(kFactorThreads, 1)
    invert_factor_kernel(T* a, std::int64_t stride, int n, std::int64_t offset, std::int32_t* info) {
  constexpr int kOrder = kFactorOrder<T>, kOwn = kOrder / kFactorSide;
  __shared__ T columns[2][kOrder], rows[2][kOrder];
  if (*info >= 0) return;
  const int x = static_cast<int>(threadIdx.x) % kFactorSide, y = static_cast<int>(threadIdx.x) / kFactorSide;
  T l[kOwn][kOwn], m[kOwn][kOwn];
  FASTLAE_UNROLL
  for (int r = 0; r < kOwn; ++r) FASTLAE_UNROLL
  for (int s = 0; s < kOwn; ++s) {
    const int i = y + r * kFactorSide, c = x + s * kFactorSide;
    l[r][s] = c <= i && i < n ? a[i * stride + c] : T(0);
    m[r][s] = c == i ? T(1) : T(0);
  }
  FASTLAE_UNROLL  // so that registers are addressed by constants
      for (int q = 0; q < kOwn; ++q) {
    for (int own = 0; own < kFactorSide; ++own) {
      const int j = q * kFactorSide + own;
      if (j >= n) break;
      T *const column = columns[j % 2], *const row = rows[j % 2];
      FASTLAE_UNROLL
      for (int r = q; r < kOwn; ++r)
        if (x == own) column[y + r * kFactorSide] = l[r][q];
      FASTLAE_UNROLL
      for (int s = 0; s <= q; ++s)
        if (y == own) row[x + s * kFactorSide] = m[q][s];
      __syncthreads();
      const T pivot = column[j];
      if (!(pivot > T(0)) || !(pivot - pivot == T(0))) {  // the same for all threads
        if (threadIdx.x == 0) *info = static_cast<std::int32_t>(offset + j);
        return;
      }
      const T scale = T(1) / sqrt(pivot);
      T from_l[kOwn], from_m[kOwn];
      FASTLAE_UNROLL
      for (int s = 0; s < kOwn; ++s) {
        from_l[s] = s >= q ? column[x + s * kFactorSide] * scale : T(0);
        from_m[s] = s <= q ? row[x + s * kFactorSide] * scale : T(0);
      }
      FASTLAE_UNROLL
      for (int r = q; r < kOwn; ++r) {
        const T factor = r > q || y > own ? column[y + r * kFactorSide] * scale : T(0);
        FASTLAE_UNROLL
        for (int s = 0; s < kOwn; ++s) {
          if (s >= q) l[r][s] -= factor * from_l[s];
          if (s <= q) m[r][s] = r == q && y == own ? from_m[s] : m[r][s] - factor * from_m[s];
        }
      }
    }
  }
  FASTLAE_UNROLL
  for (int r = 0; r < kOwn; ++r) FASTLAE_UNROLL
  for (int s = 0; s < kOwn; ++s) {
    const int i = y + r * kFactorSide, c = x + s * kFactorSide;
    if (i < n && c < n) a[i * stride + c] = c <= i ? m[r][s] : T(0);
  }
}

}  // namespace fastlae::cuda
