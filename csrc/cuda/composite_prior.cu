// A block of threads takes a row, a thread every 128th coordinate of it.
#include <cmath>
#include <cstdint>

#include "fastlae/cuda/composite_prior.hpp"
#include "rows.cuh"

namespace fastlae::cuda {

namespace {

using std::int64_t;

constexpr int kThreads = 128, kBlocks = 6;  // of a multiprocessor, so many at least; left to itself, ptxas spills

/// The mixture at a row: how every part looks at a coordinate.
template <class T>
struct Prior {
  MatrixView<const T> z, mu, logvar;
  T log_weights[3], wide_logvar, wide_precision;
  bool per_coordinate;

  struct Pieces {
    T logs[3], precision, away;  // of the parts' densities, without their weights
  };

  __device__ __forceinline__ Pieces at(int64_t u, int64_t j) const {
    constexpr T half_log_2pi = T(0.918938533204672742);
    const T x = z.data[u * z.stride + j], spread = logvar.data[u * logvar.stride + j];
    Pieces found;
    found.away = x - mu.data[u * mu.stride + j];
    found.precision = precision_of(spread);
    found.logs[0] = -half_log_2pi - T(0.5) * x * x;
    found.logs[1] = -half_log_2pi - T(0.5) * (spread + found.away * found.away * found.precision);
    found.logs[2] = -half_log_2pi - T(0.5) * wide_logvar - T(0.5) * wide_precision * x * x;
    return found;
  }

  /// exp(-spread), kept below infinity, which times 0 would be no number.
  __device__ __forceinline__ static T precision_of(T spread) {
    constexpr T most = sizeof(T) == 4 ? T(88) : T(709);
    return exponential(-spread > most ? most : -spread);
  }
};

/// log(exp(a[0]) + exp(a[1]) + exp(a[2])); the three shares of it, which add up to 1.
template <class T>
__device__ __forceinline__ T mixed(const T (&a)[3], T (&shares)[3]) {
  T most = a[0] > a[1] ? a[0] : a[1], sum = T(0);
  most = most > a[2] ? most : a[2];
  for (int c = 0; c < 3; ++c) sum += shares[c] = exponential(a[c] - most);
  for (int c = 0; c < 3; ++c) shares[c] /= sum;
  return most + log(sum);
}

/// Of row u: the joint densities' logarithms. All threads of the block.
template <class T>
__device__ void joint_logs(const Prior<T>& prior, int64_t u, double (&logs)[3], double* sums) {
  double own[3] = {};
  for (int64_t j = threadIdx.x; j < prior.z.cols; j += kThreads) {
    const auto found = prior.at(u, j);
    for (int c = 0; c < 3; ++c) own[c] += static_cast<double>(found.logs[c]);
  }
  for (int c = 0; c < 3; ++c) logs[c] = static_cast<double>(prior.log_weights[c]) + block_sum<kThreads>(own[c], sums);
}

/// Of one coordinate: the logarithm of the mixture, and the parts' shares.
template <class T>
__device__ __forceinline__ T mixed_at(const Prior<T>& prior, const typename Prior<T>::Pieces& found, T (&shares)[3]) {
  T logs[3];
  for (int c = 0; c < 3; ++c) logs[c] = prior.log_weights[c] + found.logs[c];
  return mixed(logs, shares);
}

template <class T>
__global__ void __launch_bounds__(kThreads, kBlocks) composite_prior_kernel(Prior<T> prior, T* density) {
  __shared__ double sums[kThreads];
  for (int64_t u = blockIdx.x; u < prior.z.rows; u += gridDim.x) {
    double result = 0;
    if (prior.per_coordinate) {
      T shares[3];
      double own = 0;
      for (int64_t j = threadIdx.x; j < prior.z.cols; j += kThreads)
        own += static_cast<double>(mixed_at(prior, prior.at(u, j), shares));
      result = block_sum<kThreads>(own, sums);
    } else {
      double logs[3], shares[3];
      joint_logs(prior, u, logs, sums);
      result = mixed(logs, shares);
    }
    if (threadIdx.x == 0) density[u] = static_cast<T>(result);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads, kBlocks)
    composite_prior_backward_kernel(const T* grad, Prior<T> prior, MatrixView<T> dz, MatrixView<T> dmu,
                                    MatrixView<T> dlogvar) {
  __shared__ double sums[kThreads];
  for (int64_t u = blockIdx.x; u < prior.z.rows; u += gridDim.x) {
    double joint[3] = {};
    if (!prior.per_coordinate) {
      double logs[3];
      joint_logs(prior, u, logs, sums);
      mixed(logs, joint);
    }
    for (int64_t j = threadIdx.x; j < prior.z.cols; j += kThreads) {
      const auto found = prior.at(u, j);
      T shares[3];
      if (prior.per_coordinate)
        mixed_at(prior, found, shares);
      else
        for (int c = 0; c < 3; ++c) shares[c] = static_cast<T>(joint[c]);
      for (int c = 0; c < 3; ++c) shares[c] *= grad[u];
      // Far from a narrow part the slope is beyond the numbers of T, and the share is 0.
      const T slope = shares[1] == T(0) ? T(0) : found.away * found.precision, old = shares[1] * slope;
      const T x = prior.z.data[u * prior.z.stride + j];
      dz.data[u * dz.stride + j] = -x * (shares[0] + shares[2] * prior.wide_precision) - old;
      if (dmu.rows > 0) dmu.data[u * dmu.stride + j] = old;
      if (dlogvar.rows > 0) dlogvar.data[u * dlogvar.stride + j] = T(0.5) * shares[1] * (slope * found.away - T(1));
    }
  }
}

template <class T>
Prior<T> prior_of(MatrixView<const T> z, MatrixView<const T> mu, MatrixView<const T> logvar, const PriorParts& parts) {
  Prior<T> prior{z, mu, logvar, {}, static_cast<T>(parts.wide_logvar), T(0), parts.per_coordinate};
  for (int c = 0; c < 3; ++c) prior.log_weights[c] = static_cast<T>(parts.log_weights[c]);
  constexpr double most = sizeof(T) == 4 ? 88.0 : 709.0;
  prior.wide_precision = static_cast<T>(std::exp(-parts.wide_logvar > most ? most : -parts.wide_logvar));
  return prior;
}

}  // namespace

template <class T>
void composite_prior(MatrixView<const T> z, MatrixView<const T> mu, MatrixView<const T> logvar, const PriorParts& parts,
                     T* density, const DeviceContext& context) {
  if (z.rows > 0)
    launch(composite_prior_kernel<T>, grid_size(z.rows), kThreads, 0, context, prior_of(z, mu, logvar, parts), density);
}

template <class T>
void composite_prior_backward(const T* grad, MatrixView<const T> z, MatrixView<const T> mu, MatrixView<const T> logvar,
                              const PriorParts& parts, MatrixView<T> dz, MatrixView<T> dmu, MatrixView<T> dlogvar,
                              const DeviceContext& context) {
  if (z.rows > 0)
    launch(composite_prior_backward_kernel<T>, grid_size(z.rows), kThreads, 0, context, grad,
           prior_of(z, mu, logvar, parts), dz, dmu, dlogvar);
}

#define FASTLAE_INSTANTIATE(T)                                                                                       \
  template void composite_prior<T>(MatrixView<const T>, MatrixView<const T>, MatrixView<const T>, const PriorParts&, \
                                   T*, const DeviceContext&);                                                        \
  template void composite_prior_backward<T>(const T*, MatrixView<const T>, MatrixView<const T>, MatrixView<const T>, \
                                            const PriorParts&, MatrixView<T>, MatrixView<T>, MatrixView<T>,          \
                                            const DeviceContext&);
FASTLAE_INSTANTIATE(float)
FASTLAE_INSTANTIATE(double)
#undef FASTLAE_INSTANTIATE

}  // namespace fastlae::cuda
