// Similarities of some objects with all others, on a CUDA device; `topk` takes the best of them.
#pragma once

#include <cstdint>

#include "fastlae/cuda/device.hpp"
#include "fastlae/views.hpp"

namespace fastlae::cuda {

/// What an inner product is divided by; see fastlae/knn_graph.hpp.
struct Similarity {
  bool product = false;
  double overlap = 0;  // 0 or 1
  double shrink = 0;
  const double* row = nullptr;     // (queries)
  const double* column = nullptr;  // (objects)
};

/// Bytes of workspace: inner products in double precision of as many queries as are at work at a time.
std::int64_t similarities_workspace(std::int64_t queries, std::int64_t objects);

/// out <- similarities, or -inf where nothing is in common and where the object is the query itself. Inner products are
/// summed in double precision, features in ascending order, so that the result is the same every time.
template <class T>
void similarities(const DeviceCsr<T>& queries,  // (queries, features)
                  const DeviceCsr<T>& x,        // (features, objects)
                  const Similarity& similarity,
                  std::int64_t first,     // query q is object first + q; -1: none of them
                  MatrixView<float> out,  // (queries, objects) out
                  const DeviceContext& context);

}  // namespace fastlae::cuda
