// What ranking metrics count, on a CUDA device: the twin of fastlae/metrics.hpp, where the sums are written down.
#pragma once

#include <cstdint>

#include "fastlae/cuda/device.hpp"
#include "fastlae/metrics.hpp"
#include "fastlae/views.hpp"

namespace fastlae::cuda {

/// Fills `sums` (views of device memory) from lists and targets. Each user is summed by one thread, slots ascending.
void ranking_sums(MatrixView<const std::int32_t> top,  // (users, slots) items, best first
                  const DeviceCsr<float>& held_out,    // (users, items) the targets; values are not read
                  const std::int32_t* cutoffs,         // (n_cutoffs) ascending, within 1 .. slots
                  std::int64_t n_cutoffs,              // at least 1
                  const RankingSums& sums,             // what is filled
                  const DeviceContext& context);

}  // namespace fastlae::cuda
