#include <cstdint>

#include "cublas.hpp"
#include "fastlae/cuda/product.hpp"
#include "gemm.hpp"
#include "launch.cuh"

namespace fastlae::cuda {

namespace {

using std::int64_t;

// A block makes a square of C with the depth cut into slices; a thread makes 4 x 4 of it, 16 apart.
constexpr int kSide = 64, kDepth = 16, kThreadsSide = 16, kOwn = kSide / kThreadsSide;
constexpr int kThreads = kThreadsSide * kThreadsSide;

/// A matrix of `lines` x depth, whatever its layout.
template <class T>
struct Strided {
  const T* data;
  int64_t line_stride, depth_stride;
};

/// slice[d][l] <- op(first_line + l, first_depth + d), zeros outside. Neighbouring threads read neighbouring elements.
template <class T>
__device__ __forceinline__ void load_slice(T (*slice)[kSide + 1], const Strided<T>& op, int64_t first_line,
                                           int64_t lines, int64_t first_depth, int64_t depth) {
  for (int at = static_cast<int>(threadIdx.x); at < kSide * kDepth; at += kThreads) {
    const bool by_depth = op.depth_stride == 1;
    const int d = by_depth ? at % kDepth : at / kSide, l = by_depth ? at / kDepth : at % kSide;
    const bool inside = first_line + l < lines && first_depth + d < depth;
    slice[d][l] = inside ? op.data[(first_line + l) * op.line_stride + (first_depth + d) * op.depth_stride] : T(0);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    gemm_kernel(int64_t m, int64_t n, int64_t k, T alpha, Strided<T> a, Strided<T> b, T beta, T* c, int64_t c_stride) {
  __shared__ T a_slice[kDepth][kSide + 1], b_slice[kDepth][kSide + 1];
  const int64_t i0 = static_cast<int64_t>(blockIdx.x) * kSide, j0 = static_cast<int64_t>(blockIdx.y) * kSide;
  const int row = static_cast<int>(threadIdx.x) / kThreadsSide, column = static_cast<int>(threadIdx.x) % kThreadsSide;
  T sums[kOwn][kOwn] = {};
  for (int64_t k0 = 0; k0 < k; k0 += kDepth) {
    load_slice(a_slice, a, i0, m, k0, k);
    load_slice(b_slice, b, j0, n, k0, k);
    __syncthreads();
    FASTLAE_UNROLL
    for (int d = 0; d < kDepth; ++d) {
      T x[kOwn], y[kOwn];
      FASTLAE_UNROLL
      for (int r = 0; r < kOwn; ++r) x[r] = a_slice[d][row + r * kThreadsSide];
      FASTLAE_UNROLL
      for (int s = 0; s < kOwn; ++s) y[s] = b_slice[d][column + s * kThreadsSide];
      FASTLAE_UNROLL
      for (int r = 0; r < kOwn; ++r) FASTLAE_UNROLL
      for (int s = 0; s < kOwn; ++s) sums[r][s] += x[r] * y[s];
    }
    __syncthreads();
  }
  for (int r = 0; r < kOwn; ++r)
    for (int s = 0; s < kOwn; ++s) {
      const int64_t i = i0 + row + r * kThreadsSide, j = j0 + column + s * kThreadsSide;
      if (i >= m || j >= n) continue;
      T* const to = c + i * c_stride + j;
      *to = alpha * sums[r][s] + (beta == T(0) ? T(0) : beta * *to);
    }
}

}  // namespace

template <class T>
void gemm(const DeviceContext& context, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, T alpha,
          const T* a, int64_t a_stride, const T* b, int64_t b_stride, T beta, T* c, int64_t c_stride, bool tf32) {
  if (m == 0 || n == 0) return;
  if (Cublas::instance().loaded() && k > 0) {  // row-major C is column-major C^T = op(B)^T op(A)^T
    Cublas::instance().gemm(context, transpose_b, transpose_a, n, m, k, alpha, b, b_stride, a, a_stride, beta, c,
                            c_stride, tf32);
    return;
  }
  const Strided<T> left{a, transpose_a ? 1 : a_stride, transpose_a ? a_stride : 1};
  const Strided<T> right{b, transpose_b ? b_stride : 1, transpose_b ? 1 : b_stride};
  launch(gemm_kernel<T>, dim3(static_cast<unsigned>(blocks_for(m, kSide)), static_cast<unsigned>(blocks_for(n, kSide))),
         kThreads, 0, context, m, n, k, alpha, left, right, beta, c, c_stride);
}

template <class T>
void product(Operand<T> a, Operand<T> b, MatrixView<T> c, const DeviceContext& context) {
  const int64_t depth = a.transposed ? a.matrix.rows : a.matrix.cols;
  gemm<T>(context, a.transposed, b.transposed, c.rows, c.cols, depth, T(1), a.matrix.data, a.matrix.stride,
          b.matrix.data, b.matrix.stride, T(0), c.data, c.stride);
}

template void gemm<float>(const DeviceContext&, bool, bool, int64_t, int64_t, int64_t, float, const float*, int64_t,
                          const float*, int64_t, float, float*, int64_t, bool);
template void gemm<double>(const DeviceContext&, bool, bool, int64_t, int64_t, int64_t, double, const double*, int64_t,
                           const double*, int64_t, double, double*, int64_t, bool);
template void product<float>(Operand<float>, Operand<float>, MatrixView<float>, const DeviceContext&);
template void product<double>(Operand<double>, Operand<double>, MatrixView<double>, const DeviceContext&);

}  // namespace fastlae::cuda
