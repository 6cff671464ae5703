#include <cstdint>

#include "fastlae/cuda/product.hpp"
#include "fastlae/cuda/weights.hpp"
#include "launch.cuh"

namespace fastlae::cuda {

namespace {

using std::int64_t;

constexpr int kThreads = 256;
constexpr int kColumns = 32, kParts = 8;  // of a block that updates columns

/// a + b, and no fused multiply-add with the product that a is: as on the CPU, which often makes EASE's diagonal 0 so.
__device__ __forceinline__ double sum_of_rounded(double a, double b) {
#ifdef __CUDACC__
  return __dadd_rn(a, b);
#else
  return a + b;
#endif
}

/// Sums in double, as on the CPU: alpha and C beta nearly cancel where the diagonal is small.
template <class T>
__global__ void diagonal_weights_kernel(MatrixView<const T> c, const double* alpha, const double* beta,
                                        const double* row_scale, MatrixView<T> w) {
  const int64_t j = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (j >= c.cols) return;
  const double column = beta[j];
  for (int64_t i = blockIdx.y; i < c.rows; i += gridDim.y) {
    const double value = static_cast<double>(c.data[i * c.stride + j]) * column;
    const double whole = i == j ? sum_of_rounded(value, alpha[j]) : value;
    w.data[i * w.stride + j] = static_cast<T>((row_scale ? row_scale[i] : 1.0) * whole);
  }
}

/// The sum of `value` over the parts of a block, for each of its columns.
__device__ __forceinline__ double sum_parts(double value, double (*parts)[kColumns]) {
  parts[threadIdx.y][threadIdx.x] = value;
  __syncthreads();
  double total = 0;
  for (int p = 0; p < kParts; ++p) total += parts[p][threadIdx.x];
  __syncthreads();
  return total;
}

/// x comes in as H^-1 V and `w` is H^-1 E1; see csrc/cpu/weights.cpp for the names.
template <class T>
__global__ void miller_kernel(MatrixView<const T> h, MatrixView<const T> e2, MatrixView<const T> w, MatrixView<T> x) {
  __shared__ double parts[kParts][kColumns];
  const int64_t n = x.rows, i = static_cast<int64_t>(blockIdx.x) * kColumns + threadIdx.x;
  const bool inside = i < n;
  double e2_r = 0, e2_w = 0, e2_h = 0;
  if (inside)
    for (int64_t k = threadIdx.y; k < n; k += kParts) {
      const double e = k == i ? 0.0 : static_cast<double>(e2.data[k * e2.stride + i]);
      e2_r += e * static_cast<double>(x.data[k * x.stride + i]);
      e2_w += e * static_cast<double>(w.data[k * w.stride + i]);
      e2_h += e * static_cast<double>(h.data[k * h.stride + i]);
    }
  e2_r = sum_parts(e2_r, parts);
  e2_w = sum_parts(e2_w, parts);
  e2_h = sum_parts(e2_h, parts);
  double from_r = 0, from_h = 0, from_t = 0;
  if (inside) {
    const double pivot = 1.0 + static_cast<double>(w.data[i * w.stride + i]);
    from_r = static_cast<double>(x.data[i * x.stride + i]) / pivot;
    from_h = static_cast<double>(h.data[i * h.stride + i]) / pivot;
    from_t = (e2_r - from_r * e2_w) / (1.0 + e2_h - from_h * e2_w);
  }
  __syncthreads();  // everybody has read the diagonal of x before anybody writes it
  if (inside)
    for (int64_t k = threadIdx.y; k < n; k += kParts) {
      const double own = static_cast<double>(w.data[k * w.stride + i]);
      const double t = static_cast<double>(h.data[k * h.stride + i]) - from_h * own;
      T* const to = x.data + k * x.stride + i;
      *to = static_cast<T>(static_cast<double>(*to) - from_r * own - from_t * t);
    }
}

}  // namespace

template <class T>
void diagonal_weights(MatrixView<const T> c, const double* alpha, const double* beta, const double* row_scale,
                      MatrixView<T> w, const DeviceContext& context) {
  if (c.rows == 0) return;
  launch(diagonal_weights_kernel<T>, dim3(static_cast<unsigned>(blocks_for(c.cols, kThreads)), grid_size(c.rows)),
         kThreads, 0, context, c, alpha, beta, row_scale, w);
}

template <class T>
void miller_update(MatrixView<const T> h0_inverse, MatrixView<const T> v, MatrixView<const T> e1,
                   MatrixView<const T> e2, MatrixView<T> x, MatrixView<T> work, const DeviceContext& context) {
  if (x.rows == 0) return;
  product<T>({h0_inverse}, {v}, x, context);
  product<T>({h0_inverse}, {e1}, work, context);
  launch(miller_kernel<T>, static_cast<unsigned>(blocks_for(x.rows, kColumns)), dim3(kColumns, kParts), 0, context,
         h0_inverse, e2, MatrixView<const T>(work), x);
}

template void diagonal_weights<float>(MatrixView<const float>, const double*, const double*, const double*,
                                      MatrixView<float>, const DeviceContext&);
template void diagonal_weights<double>(MatrixView<const double>, const double*, const double*, const double*,
                                       MatrixView<double>, const DeviceContext&);
template void miller_update<float>(MatrixView<const float>, MatrixView<const float>, MatrixView<const float>,
                                   MatrixView<const float>, MatrixView<float>, MatrixView<float>, const DeviceContext&);
template void miller_update<double>(MatrixView<const double>, MatrixView<const double>, MatrixView<const double>,
                                    MatrixView<const double>, MatrixView<double>, MatrixView<double>,
                                    const DeviceContext&);

}  // namespace fastlae::cuda
