// A block of threads takes a user and some columns: t = sum of the user's rows of E in registers, then Y[i] += t for
// every item i of the user, by atomic additions. Rows of E and Y that many users have stay in the second-level cache.
#include <cstdint>

#include "fastlae/cuda/gram_product.hpp"
#include "launch.cuh"

namespace fastlae::cuda {

namespace {

constexpr int kColumns = 64;  // threads of a block: a column each
constexpr int kGridUsers = 1 << 20;

/// Y <- diag(ridge) E, or zeros without a ridge.
template <class T>
__global__ void __launch_bounds__(256) begin_kernel(MatrixView<const T> e, const T* ridge, MatrixView<T> y) {
  for (std::int64_t i = blockIdx.x; i < e.rows; i += gridDim.x)
    for (std::int64_t j = threadIdx.x; j < e.cols; j += blockDim.x)
      y.data[i * y.stride + j] = ridge ? ridge[i] * e.data[i * e.stride + j] : T(0);
}

template <class T>
__global__ void __launch_bounds__(kColumns)
    gram_product_kernel(DeviceCsr<T> x, MatrixView<const T> e, MatrixView<T> y) {
  const std::int64_t j = static_cast<std::int64_t>(blockIdx.y) * kColumns + threadIdx.x;
  if (j >= e.cols) return;
  for (std::int64_t u = blockIdx.x; u < x.rows; u += gridDim.x) {
    const std::int64_t begin = x.indptr[u], end = x.indptr[u + 1];
    T t = T(0);
    FASTLAE_UNROLL_BY_4  // several rows of E on their way at a time
        for (std::int64_t k = begin; k < end; ++k) {
      const T value = x.values ? x.values[k] : T(1);
      t += value * e.data[x.indices[k] * e.stride + j];
    }
    for (std::int64_t k = begin; k < end; ++k) {
      const T value = x.values ? x.values[k] : T(1);
      atomicAdd(y.data + x.indices[k] * y.stride + j, value * t);
    }
  }
}

}  // namespace

template <class T>
void gram_product(const DeviceCsr<T>& x, MatrixView<const T> e, const T* ridge, MatrixView<T> y,
                  const DeviceContext& context) {
  if (e.rows == 0 || e.cols == 0) return;
  launch(begin_kernel<T>, dim3(grid_size(e.rows)), dim3(256), 0, context, e, ridge, y);
  if (x.rows == 0) return;
  launch(gram_product_kernel<T>,
         dim3(grid_size(x.rows, kGridUsers), static_cast<unsigned>(blocks_for(e.cols, kColumns))), dim3(kColumns), 0,
         context, x, e, y);
}

template void gram_product<float>(const DeviceCsr<float>&, MatrixView<const float>, const float*, MatrixView<float>,
                                  const DeviceContext&);
template void gram_product<double>(const DeviceCsr<double>&, MatrixView<const double>, const double*,
                                   MatrixView<double>, const DeviceContext&);

}  // namespace fastlae::cuda
