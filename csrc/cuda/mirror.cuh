// The upper triangle of a symmetric matrix from the lower one.
#pragma once

#include "launch.cuh"

namespace fastlae::cuda {

constexpr int kMirrorSide = 32, kMirrorRows = 8;

/// A block copies one 32 x 32 tile on or below the diagonal, through shared memory so that both sides are read and
/// written by whole lines.
template <class T>
__global__ void mirror_kernel(MatrixView<T> a) {
  __shared__ T tile[kMirrorSide][kMirrorSide + 1];
  if (blockIdx.x > blockIdx.y) return;
  const std::int64_t i0 = static_cast<std::int64_t>(blockIdx.y) * kMirrorSide;
  const std::int64_t j0 = static_cast<std::int64_t>(blockIdx.x) * kMirrorSide;
  const int x = static_cast<int>(threadIdx.x);
  for (int r = static_cast<int>(threadIdx.y); r < kMirrorSide; r += kMirrorRows)
    if (i0 + r < a.rows && j0 + x < a.rows) tile[r][x] = a.data[(i0 + r) * a.stride + j0 + x];
  __syncthreads();
  for (int c = static_cast<int>(threadIdx.y); c < kMirrorSide; c += kMirrorRows)
    if (j0 + c < i0 + x && i0 + x < a.rows) a.data[(j0 + c) * a.stride + i0 + x] = tile[x][c];
}

template <class T>
void mirror(MatrixView<T> a, const DeviceContext& context) {
  const auto side = static_cast<unsigned>(blocks_for(a.rows, kMirrorSide));
  if (side > 0) launch(mirror_kernel<T>, dim3(side, side), dim3(kMirrorSide, kMirrorRows), 0, context, a);
}

}  // namespace fastlae::cuda
