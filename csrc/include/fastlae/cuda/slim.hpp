// SLIM by coordinate descent on a CUDA device: the twin of fastlae/slim.hpp, where the problem is written down.
#pragma once

#include <cstdint>

#include "fastlae/cuda/device.hpp"
#include "fastlae/slim.hpp"
#include "fastlae/views.hpp"

namespace fastlae::cuda {

/// Bytes of workspace for so many columns of W in one call.
std::int64_t slim_workspace(std::int64_t n, std::int64_t columns);

/// Columns [first, first + columns) of W. Column c has `counts[c]` weights, which are found from `starts[c]` on in
/// `items` and `values`, its items in the order in which they became active. Same method as on the CPU, but gradients
/// are those of T's products in double; a column is the same every time.
template <class T>
void slim(MatrixView<const T> g,  // (n, n), symmetric
          const SlimOptions& options,
          const DeviceCsr<T>* start,  // (n, n) columns of W to begin with, as rows; or null
          std::int64_t first, std::int64_t columns,
          std::int64_t* starts,  // (columns) out
          std::int32_t* counts,  // (columns) out
          double* violations,    // (columns) out
          std::int64_t* total,   // (1) out: weights of all these columns
          std::int32_t* items,   // (columns n) out: `total` of them
          T* values,             // (columns n) out
          const DeviceContext& context);

}  // namespace fastlae::cuda
