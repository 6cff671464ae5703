// A step of Newton's method for an inverse, and with it the size of its error.
#include <algorithm>
#include <cstdint>

#include "fastlae/cuda/spd_inverse.hpp"
#include "gemm.hpp"
#include "launch.cuh"
#include "mirror.cuh"

namespace fastlae::cuda {

namespace {

using std::int64_t;

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 4096;  // each adds to one number at its end

/// r <- E - r, E being columns first, first + 1, .. of the identity; worst takes in the largest |r|, NaN above all.
template <class T>
__global__ void residual_kernel(T* r, int64_t n, int64_t width, int64_t first, unsigned long long* worst) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  double most = 0;
  bool finite = true;
  for (int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; at < n * width; at += step) {
    const T own = (at / width == first + at % width ? T(1) : T(0)) - r[at];
    r[at] = own;
    const double size = fabs(static_cast<double>(own));
    most = size > most ? size : most;
    finite = finite && size - size == 0;
  }
  raise_to(worst, most, finite, static_cast<int>(threadIdx.x) % kWarpSize);
}

template <class T>
__global__ void add_kernel(const T* from, int64_t n, int64_t width, T* to, int64_t stride) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; at < n * width; at += step)
    to[at / width * stride + at % width] += from[at];
}

}  // namespace

int64_t refine_columns(int64_t n) {
  return std::min<int64_t>(n, 1024);
}

int64_t refine_inverse_workspace(int64_t n, int64_t itemsize) {
  return 2 * aligned(n * refine_columns(n) * itemsize);
}

template <class T>
void refine_inverse(MatrixView<const T> a, MatrixView<T> c, double* worst, const DeviceContext& context) {
  set_bytes(worst, 0, sizeof(double), context);
  const int64_t n = c.rows, most = refine_columns(n);
  if (n == 0) return;
  Arena arena(context);
  T* const residual = arena.take<T>(n * most);
  T* const change = arena.take<T>(n * most);
  for (int64_t first = 0; first < n; first += most) {
    const int64_t width = std::min(most, n - first);
    const unsigned grid = grid_size(blocks_for(n * width, kThreads), kMostBlocks);
    gemm<T>(context, false, false, n, width, n, T(1), a.data, a.stride, c.data + first, c.stride, T(0), residual,
            width);
    launch(residual_kernel<T>, grid, kThreads, 0, context, residual, n, width, first,
           reinterpret_cast<unsigned long long*>(worst));
    // C as it is now, its first columns better already.
    gemm<T>(context, false, false, n, width, n, T(1), c.data, c.stride, residual, width, T(0), change, width);
    launch(add_kernel<T>, grid, kThreads, 0, context, change, n, width, c.data + first, c.stride);
  }
  mirror(c, context);
}

template void refine_inverse<float>(MatrixView<const float>, MatrixView<float>, double*, const DeviceContext&);
template void refine_inverse<double>(MatrixView<const double>, MatrixView<double>, double*, const DeviceContext&);

}  // namespace fastlae::cuda
