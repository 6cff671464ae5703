// Scores of factor and embedding models, and the k best of them, on a CUDA device: the twin of fastlae/factors.hpp.
#pragma once

#include <cstdint>

#include "fastlae/cuda/device.hpp"
#include "fastlae/cuda/topk.hpp"
#include "fastlae/views.hpp"

namespace fastlae::cuda {

/// Bytes of workspace: scores of as many users as are at work at a time, and their lists.
std::int64_t factors_workspace(std::int64_t users, std::int64_t n, std::int64_t k, std::int64_t itemsize);

/// topk(P E^T + 1 bias^T): scores of some users at a time.
template <class T>
void recommend_factors(MatrixView<const T> p,  // (users, dim)
                       MatrixView<const T> e,  // (n, dim)
                       const T* bias,          // (n), or null
                       const Hidden& hidden,
                       MatrixView<std::int32_t> items,  // (users, k) out, rows without gaps
                       MatrixView<float> scores,        // (users, k) out, rows without gaps
                       const DeviceContext& context);

/// S <- P E^T + 1 bias^T.
template <class T>
void score_factors(MatrixView<const T> p,  // (users, dim)
                   MatrixView<const T> e,  // (n, dim)
                   const T* bias,          // (n), or null
                   MatrixView<T> s,        // (users, n) out
                   const DeviceContext& context);

}  // namespace fastlae::cuda
