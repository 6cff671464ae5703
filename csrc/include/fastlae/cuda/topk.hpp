// The k best of every row on a CUDA device. Same results as fastlae/topk.hpp: largest first, ties to the smaller
// column, scores of -inf and NaN never win, a slot that nothing fills holds item -1 and score -inf.
#pragma once

#include <cstdint>

#include "fastlae/cuda/device.hpp"
#include "fastlae/views.hpp"

namespace fastlae::cuda {

/// What may not be recommended: per row, and for all rows. Both may be absent (null).
struct Hidden {
  const std::int64_t* indptr = nullptr;   // (rows + 1)
  const std::int32_t* indices = nullptr;  // sorted within a row
  const std::uint8_t* columns = nullptr;  // (n) non-zero: hidden from everybody
};

/// Bytes of workspace of `topk` and `recommend`: lists as they grow, several for each row where there are few rows;
/// none for float and many rows, where the outputs hold them.
std::int64_t topk_workspace(std::int64_t rows, std::int64_t n, std::int64_t k, std::int64_t itemsize);

template <class T>
void topk(MatrixView<const T> s,  // (rows, n)
          const T* scale,         // (n) multiplies the columns, or null: all 1
          const Hidden& hidden,
          MatrixView<std::int32_t> items,  // (rows, k) out, rows without gaps
          MatrixView<float> scores,        // (rows, k) out, rows without gaps
          const DeviceContext& context);

/// topk(X W) without ever holding X W: the lists are carried along in the outputs. A row of X with no entries gets no
/// items.
template <class T>
void recommend(const DeviceCsr<T>& x,  // (users, m)
               MatrixView<const T> w,  // (m, n)
               const Hidden& hidden,
               MatrixView<std::int32_t> items,  // (users, k) out, rows without gaps
               MatrixView<float> scores,        // (users, k) out, rows without gaps
               const DeviceContext& context);

}  // namespace fastlae::cuda
