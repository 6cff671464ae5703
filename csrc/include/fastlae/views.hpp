// Views: pointers with shapes. Kernels see nothing else; they never own or allocate an output.
#pragma once

#include <cstdint>

namespace fastlae {

/// A row-major matrix whose rows are contiguous; `stride` elements lie between two rows.
template <class T>
struct MatrixView {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;

  T* row(std::int64_t i) const { return data + i * stride; }
  T& operator()(std::int64_t i, std::int64_t j) const { return data[i * stride + j]; }
  MatrixView block(std::int64_t i, std::int64_t j, std::int64_t r, std::int64_t c) const {
    return {data + i * stride + j, r, c, stride};
  }
  operator MatrixView<const T>() const { return {data, rows, cols, stride}; }
};

/// A sparse matrix by rows: sorted, unique column indices; no stored zeros.
template <class T>
struct CsrView {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  const std::int64_t* indptr = nullptr;   // (rows + 1)
  const std::int32_t* indices = nullptr;  // (nnz)
  const T* values = nullptr;              // (nnz), or null: every stored value is 1

  std::int64_t nnz() const { return indptr[rows] - indptr[0]; }
  T value(std::int64_t entry) const { return values ? values[entry] : T(1); }
};

}  // namespace fastlae
