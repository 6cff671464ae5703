// A block of threads takes a row. The backward pass makes dx so, and then the sums over the batch, a warp's width of
// columns to a block: what they need of the activation is made again, which costs less than to keep it.
#include <cmath>
#include <cstdint>

#include "fastlae/cuda/swish_norm.hpp"
#include "rows.cuh"

namespace fastlae::cuda {

namespace {

using std::int64_t;

// Blocks of a multiprocessor, so many at least: left to itself, ptxas spills.
constexpr int kThreads = 128, kBlocks = 6;  // of a row
constexpr int kColumns = 32, kParts = 32;   // of a block that sums columns

/// x + layer_bias + residual, and its swish.
template <class T>
struct Activation {
  MatrixView<const T> x;
  const T* layer_bias;
  MatrixView<const T> residual;

  struct Value {
    T s, slope;  // t / (1 + exp(-t)) and its derivative
  };

  __device__ __forceinline__ T past(int64_t u, int64_t j) const {
    return residual.rows > 0 ? residual.data[u * residual.stride + j] : T(0);
  }
  __device__ __forceinline__ Value operator()(int64_t u, int64_t j) const {
    T t = x.data[u * x.stride + j] + past(u, j);
    if (layer_bias) t += layer_bias[j];
    const T e = exponential(t < T(0) ? t : -t), larger = T(1) / (T(1) + e);  // an exponential that cannot overflow
    const T share = t < T(0) ? e * larger : larger, s = t * share;
    return {s, share + s * (T(1) - share)};
  }
};

template <class T>
__global__ void __launch_bounds__(kThreads, kBlocks)
    swish_norm_kernel(Activation<T> activation, const T* weight, const T* bias, T eps, MatrixView<T> y,
                      MatrixView<T> total, T* mean, T* scale) {
  __shared__ T sums[kThreads];
  const int64_t n = y.cols;
  for (int64_t u = blockIdx.x; u < y.rows; u += gridDim.x) {
    T* const row = y.data + u * y.stride;
    T sum = T(0), squares = T(0);
    for (int64_t j = threadIdx.x; j < n; j += kThreads) sum += row[j] = activation(u, j).s;
    const T middle = block_sum<kThreads>(sum, sums) / static_cast<T>(n);
    for (int64_t j = threadIdx.x; j < n; j += kThreads) squares += (row[j] - middle) * (row[j] - middle);
    const T variance = block_sum<kThreads>(squares, sums) / static_cast<T>(n);
    // A variance beyond the numbers of T must not look like a row of zeros.
    const T factor = variance == T(INFINITY) ? T(NAN) : T(1) / sqrt(variance + eps);
    for (int64_t j = threadIdx.x; j < n; j += kThreads) {
      const T value = (row[j] - middle) * factor * weight[j] + bias[j];
      row[j] = value;
      if (total.rows > 0) total.data[u * total.stride + j] = activation.past(u, j) + value;
    }
    if (threadIdx.x == 0) {
      mean[u] = middle;
      scale[u] = factor;
    }
  }
}

/// What comes back to y.
template <class T>
struct Given {
  MatrixView<const T> dy, dtotal;

  __device__ __forceinline__ T past(int64_t u, int64_t j) const {
    return dtotal.rows > 0 ? dtotal.data[u * dtotal.stride + j] : T(0);
  }
  __device__ __forceinline__ T operator()(int64_t u, int64_t j) const {
    return dy.data[u * dy.stride + j] + past(u, j);
  }
};

template <class T>
__global__ void __launch_bounds__(kThreads, kBlocks)
    swish_norm_rows_kernel(Given<T> given, Activation<T> activation, const T* weight, const T* mean, const T* scale,
                           MatrixView<T> dx, MatrixView<T> dresidual) {
  __shared__ T sums[kThreads];
  const int64_t n = dx.cols;
  for (int64_t u = blockIdx.x; u < dx.rows; u += gridDim.x) {
    const T middle = mean[u], factor = scale[u];
    T sum = T(0), along = T(0);
    for (int64_t j = threadIdx.x; j < n; j += kThreads) {
      const T g = given(u, j) * weight[j];
      sum += g;
      along += g * (activation(u, j).s - middle) * factor;
    }
    const T part = block_sum<kThreads>(sum, sums) / static_cast<T>(n);
    const T parallel = block_sum<kThreads>(along, sums) / static_cast<T>(n);
    for (int64_t j = threadIdx.x; j < n; j += kThreads) {
      const auto now = activation(u, j);
      const T g = given(u, j) * weight[j], away = (now.s - middle) * factor;
      const T change = (g - part - away * parallel) * now.slope * factor;
      dx.data[u * dx.stride + j] = change;
      if (dresidual.rows > 0) dresidual.data[u * dresidual.stride + j] = change + given.past(u, j);
    }
  }
}

/// to[j] <- the sum over the parts of a block of what its threads have for column j.
template <class T>
__device__ __forceinline__ void sum_parts(T value, T (*parts)[kColumns], T* to, int64_t j, int64_t n) {
  parts[threadIdx.y][threadIdx.x] = value;
  __syncthreads();
  for (int half = kParts / 2; half > 0; half /= 2) {
    if (static_cast<int>(threadIdx.y) < half) parts[threadIdx.y][threadIdx.x] += parts[threadIdx.y + half][threadIdx.x];
    __syncthreads();
  }
  if (threadIdx.y == 0 && j < n) to[j] = parts[0][threadIdx.x];
  __syncthreads();
}

template <class T>
__global__ void __launch_bounds__(kColumns* kParts)
    swish_norm_columns_kernel(Given<T> given, Activation<T> activation, const T* mean, const T* scale,
                              MatrixView<const T> dx, T* dweight, T* dbias, T* dlayer_bias) {
  __shared__ T parts[kParts][kColumns];
  const int64_t n = dx.cols, j = static_cast<int64_t>(blockIdx.x) * kColumns + threadIdx.x;
  T to_weight = T(0), to_bias = T(0), to_layer = T(0);
  if (j < n)
    for (int64_t u = threadIdx.y; u < dx.rows; u += kParts) {
      const T g = given(u, j);
      to_bias += g;
      to_weight += g * (activation(u, j).s - mean[u]) * scale[u];
      if (dlayer_bias) to_layer += dx.data[u * dx.stride + j];
    }
  sum_parts(to_weight, parts, dweight, j, n);
  sum_parts(to_bias, parts, dbias, j, n);
  if (dlayer_bias) sum_parts(to_layer, parts, dlayer_bias, j, n);
}

}  // namespace

template <class T>
void swish_norm(MatrixView<const T> x, const T* layer_bias, MatrixView<const T> residual, const T* weight,
                const T* bias, double eps, MatrixView<T> y, MatrixView<T> total, T* mean, T* scale,
                const DeviceContext& context) {
  if (x.rows == 0) return;
  launch(swish_norm_kernel<T>, grid_size(x.rows), kThreads, 0, context, Activation<T>{x, layer_bias, residual}, weight,
         bias, eps, y, total, mean, scale);
}

template <class T>
void swish_norm_backward(MatrixView<const T> dy, MatrixView<const T> dtotal, MatrixView<const T> x, const T* layer_bias,
                         MatrixView<const T> residual, const T* weight, const T* mean, const T* scale, MatrixView<T> dx,
                         MatrixView<T> dresidual, T* dweight, T* dbias, T* dlayer_bias, const DeviceContext& context) {
  const Given<T> given{dy, dtotal};
  const Activation<T> activation{x, layer_bias, residual};
  if (x.rows > 0)
    launch(swish_norm_rows_kernel<T>, grid_size(x.rows), kThreads, 0, context, given, activation, weight, mean, scale,
           dx, dresidual);
  if (x.cols > 0)
    launch(swish_norm_columns_kernel<T>, static_cast<unsigned>(blocks_for(x.cols, kColumns)), dim3(kColumns, kParts), 0,
           context, given, activation, mean, scale, MatrixView<const T>(dx), dweight, dbias, dlayer_bias);
}

#define FASTLAE_INSTANTIATE(T)                                                                                  \
  template void swish_norm<T>(MatrixView<const T>, const T*, MatrixView<const T>, const T*, const T*, double,   \
                              MatrixView<T>, MatrixView<T>, T*, T*, const DeviceContext&);                      \
  template void swish_norm_backward<T>(MatrixView<const T>, MatrixView<const T>, MatrixView<const T>, const T*, \
                                       MatrixView<const T>, const T*, const T*, const T*, MatrixView<T>,        \
                                       MatrixView<T>, T*, T*, T*, const DeviceContext&);
FASTLAE_INSTANTIATE(float)
FASTLAE_INSTANTIATE(double)
#undef FASTLAE_INSTANTIATE

}  // namespace fastlae::cuda
