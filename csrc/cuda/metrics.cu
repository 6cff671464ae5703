#include <cmath>
#include <cstdint>

#include "fastlae/cuda/metrics.hpp"
#include "launch.cuh"

namespace fastlae::cuda {

namespace {

using std::int32_t;
using std::int64_t;

constexpr int kThreads = 128;

/// A thread has a user. There are few hits in a list: that one is its item's first is seen by looking back.
__global__ void ranking_sums_kernel(MatrixView<const int32_t> top, DeviceCsr<float> held_out, const int32_t* cutoffs,
                                    int64_t n_cutoffs, RankingSums sums) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t u = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; u < top.rows; u += step) {
    const int32_t* const list = top.data + u * top.stride;
    const int64_t first = held_out.indptr[u], last = held_out.indptr[u + 1];
    double hits = 0, dcg = 0, precision = 0, reciprocal_rank = 0;
    int64_t slot = 0;
    for (int64_t c = 0; c < n_cutoffs; ++c) {
      for (; slot < cutoffs[c]; ++slot) {
        const int32_t item = list[slot];
        const int64_t at = lower_bound(held_out.indices, first, last, item);
        if (at == last || held_out.indices[at] != item) continue;
        int64_t before = 0;
        while (list[before] != item) ++before;
        if (before < slot) continue;
        const double rank = static_cast<double>(slot + 1);
        if (hits == 0) reciprocal_rank = 1.0 / rank;
        hits += 1;
        dcg += 1.0 / log2(rank + 1);
        precision += hits / rank;
      }
      sums.hits.data[u * sums.hits.stride + c] = hits;
      sums.dcg.data[u * sums.dcg.stride + c] = dcg;
      sums.precision.data[u * sums.precision.stride + c] = precision;
      sums.reciprocal_rank.data[u * sums.reciprocal_rank.stride + c] = reciprocal_rank;
    }
  }
}

}  // namespace

void ranking_sums(MatrixView<const int32_t> top, const DeviceCsr<float>& held_out, const int32_t* cutoffs,
                  int64_t n_cutoffs, const RankingSums& sums, const DeviceContext& context) {
  if (top.rows > 0)
    launch(ranking_sums_kernel, grid_size(blocks_for(top.rows, kThreads)), kThreads, 0, context, top, held_out, cutoffs,
           n_cutoffs, sums);
}

}  // namespace fastlae::cuda
