// A block of threads takes a query: its inner products with all objects are summed in a row of the workspace, then
// turned into similarities. Of 0/1 data they are counts, which are exact in any order: warps take features, and add
// atomically. Else the threads take one feature after the other together, whose objects are different ones.
#include <cstdint>
#include <limits>

#include "fastlae/cuda/knn_graph.hpp"
#include "launch.cuh"

namespace fastlae::cuda {

namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kQueriesAtWork = 1024;

template <class T>
__global__ void __launch_bounds__(kThreads)
    similarities_kernel(DeviceCsr<T> queries, DeviceCsr<T> x, Similarity similarity, std::int64_t first,
                        double* workspace, MatrixView<float> out) {
  double* const dots = workspace + blockIdx.x * x.cols;
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  for (std::int64_t q = blockIdx.x; q < queries.rows; q += gridDim.x) {
    for (std::int64_t j = thread; j < x.cols; j += threads) dots[j] = 0;
    __syncthreads();
    const std::int64_t begin = queries.indptr[q], end = queries.indptr[q + 1];
    if (queries.values || x.values) {
      for (std::int64_t e = begin; e < end; ++e) {
        const std::int32_t f = queries.indices[e];
        const double value = queries.values ? static_cast<double>(queries.values[e]) : 1.0;
        for (std::int64_t g = x.indptr[f] + thread; g < x.indptr[f + 1]; g += threads)
          dots[x.indices[g]] += value * (x.values ? static_cast<double>(x.values[g]) : 1.0);
        __syncthreads();
      }
    } else {
      for (std::int64_t e = begin + thread / kWarpSize; e < end; e += threads / kWarpSize) {
        const std::int32_t f = queries.indices[e];
        for (std::int64_t g = x.indptr[f] + thread % kWarpSize; g < x.indptr[f + 1]; g += kWarpSize)
          atomicAdd(dots + x.indices[g], 1.0);
      }
      __syncthreads();
    }
    for (std::int64_t j = thread; j < x.cols; j += threads) {
      const double dot = dots[j], row = similarity.row[q], column = similarity.column[j];
      const double scale = similarity.product ? row * column : row + column - similarity.overlap * dot;
      const bool none = !(dot > 0) || (first >= 0 && j == first + q);
      const float value = none ? 0.0f : static_cast<float>(dot / (scale + similarity.shrink));
      out.data[q * out.stride + j] = value > 0 ? value : -std::numeric_limits<float>::infinity();
    }
    __syncthreads();
  }
}

}  // namespace

std::int64_t similarities_workspace(std::int64_t queries, std::int64_t objects) {
  return aligned(grid_size(queries, kQueriesAtWork) * objects * static_cast<std::int64_t>(sizeof(double)));
}

template <class T>
void similarities(const DeviceCsr<T>& queries, const DeviceCsr<T>& x, const Similarity& similarity, std::int64_t first,
                  MatrixView<float> out, const DeviceContext& context) {
  if (queries.rows == 0 || x.cols == 0) return;
  const unsigned blocks = grid_size(queries.rows, kQueriesAtWork);
  Arena arena(context);
  auto* const dots = arena.take<double>(blocks * x.cols);
  launch(similarities_kernel<T>, dim3(blocks), dim3(kThreads), 0, context, queries, x, similarity, first, dots, out);
}

template void similarities<float>(const DeviceCsr<float>&, const DeviceCsr<float>&, const Similarity&, std::int64_t,
                                  MatrixView<float>, const DeviceContext&);
template void similarities<double>(const DeviceCsr<double>&, const DeviceCsr<double>&, const Similarity&, std::int64_t,
                                   MatrixView<float>, const DeviceContext&);

}  // namespace fastlae::cuda
