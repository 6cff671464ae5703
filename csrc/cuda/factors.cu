// One product and one selection for some thousand users at a time: a product of thin matrices is bound by writing the
// scores, which the selection then reads from the cache or at the memory's speed.
#include <algorithm>
#include <cstdint>

#include "fastlae/cuda/factors.hpp"
#include "gemm.hpp"
#include "launch.cuh"

namespace fastlae::cuda {

namespace {

using std::int64_t;

constexpr int kThreads = 256;
constexpr int64_t kScoreBytes = 256 << 20;  // at a time, where that is at least one user

int64_t users_at_work(int64_t users, int64_t n, int64_t itemsize) {
  return std::clamp<int64_t>(kScoreBytes / std::max<int64_t>(1, n * itemsize), 1, std::max<int64_t>(1, users));
}

template <class T>
__global__ void add_bias_kernel(const T* bias, MatrixView<T> s) {
  for (int64_t u = blockIdx.y; u < s.rows; u += gridDim.y)
    for (int64_t j = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; j < s.cols;
         j += static_cast<int64_t>(gridDim.x) * kThreads)
      s.data[u * s.stride + j] += bias[j];
}

}  // namespace

int64_t factors_workspace(int64_t users, int64_t n, int64_t k, int64_t itemsize) {
  const int64_t step = users_at_work(users, n, itemsize), last = users % step;
  const int64_t lists = std::max(topk_workspace(step, n, k, itemsize), topk_workspace(last, n, k, itemsize));
  return aligned(step * n * itemsize) + lists;
}

template <class T>
void score_factors(MatrixView<const T> p, MatrixView<const T> e, const T* bias, MatrixView<T> s,
                   const DeviceContext& context) {
  if (s.rows == 0 || s.cols == 0) return;
  gemm<T>(context, false, true, s.rows, s.cols, p.cols, T(1), p.data, p.stride, e.data, e.stride, T(0), s.data,
          s.stride);
  if (bias)
    launch(add_bias_kernel<T>, dim3(grid_size(blocks_for(s.cols, kThreads)), grid_size(s.rows)), kThreads, 0, context,
           bias, s);
}

template <class T>
void recommend_factors(MatrixView<const T> p, MatrixView<const T> e, const T* bias, const Hidden& hidden,
                       MatrixView<std::int32_t> items, MatrixView<float> scores, const DeviceContext& context) {
  const int64_t users = p.rows, n = e.rows, step = users_at_work(users, n, sizeof(T));
  if (users == 0) return;
  Arena arena(context);
  T* const block = arena.take<T>(step * n);
  DeviceContext rest = context;
  rest.workspace = static_cast<char*>(context.workspace) + aligned(step * n * static_cast<int64_t>(sizeof(T)));
  rest.workspace_bytes = context.workspace_bytes - aligned(step * n * static_cast<int64_t>(sizeof(T)));
  for (int64_t begin = 0; begin < users; begin += step) {
    const int64_t count = std::min(step, users - begin);
    const MatrixView<T> s{block, count, n, n};
    score_factors<T>({p.data + begin * p.stride, count, p.cols, p.stride}, e, bias, s, context);
    Hidden own = hidden;
    if (own.indptr) own.indptr += begin;
    topk<T>(s, nullptr, own, {items.data + begin * items.stride, count, items.cols, items.stride},
            {scores.data + begin * scores.stride, count, scores.cols, scores.stride}, rest);
  }
}

#define FASTLAE_INSTANTIATE(T)                                                                           \
  template void recommend_factors<T>(MatrixView<const T>, MatrixView<const T>, const T*, const Hidden&,  \
                                     MatrixView<std::int32_t>, MatrixView<float>, const DeviceContext&); \
  template void score_factors<T>(MatrixView<const T>, MatrixView<const T>, const T*, MatrixView<T>,      \
                                 const DeviceContext&);
FASTLAE_INSTANTIATE(float)
FASTLAE_INSTANTIATE(double)
#undef FASTLAE_INSTANTIATE

}  // namespace fastlae::cuda
