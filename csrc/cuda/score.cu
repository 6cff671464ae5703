#include <cstdint>

#include "fastlae/cuda/score.hpp"
#include "score.cuh"

namespace fastlae::cuda {

namespace {

/// Blocks of one tile of columns for all rows come one after the other, so that they share W's part.
template <class T>
__global__ void __launch_bounds__(kScoreThreads) score_kernel(SparseRows<T> rows, MatrixView<T> s) {
  const std::int64_t u = blockIdx.x, j = static_cast<std::int64_t>(blockIdx.y) * kScoreTile;
  rows.tile(u, j, smaller<std::int64_t>(kScoreTile, s.cols - j), s.data + u * s.stride + j);
}

}  // namespace

template <class T>
void score(const DeviceCsr<T>& x, MatrixView<const T> w, MatrixView<T> s, const DeviceContext& context) {
  if (s.rows == 0 || s.cols == 0) return;
  launch(score_kernel<T>, dim3(static_cast<unsigned>(s.rows), static_cast<unsigned>(blocks_for(s.cols, kScoreTile))),
         kScoreThreads, 0, context, SparseRows<T>{x, w}, s);
}

template void score<float>(const DeviceCsr<float>&, MatrixView<const float>, MatrixView<float>, const DeviceContext&);
template void score<double>(const DeviceCsr<double>&, MatrixView<const double>, MatrixView<double>,
                            const DeviceContext&);

}  // namespace fastlae::cuda
