// Views: pointers with shapes. Kernels see nothing else; they never own or allocate an output.
#pragma once

#include <algorithm>
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

/// The lower triangle of a symmetric matrix, by square tiles; those of the last row and column may be smaller.
///
/// It lies in an n x n matrix (`stride` elements between two rows), or packed (`stride` 0): then tile row i is a matrix
/// of its own that ends with its diagonal tile, min(n, (i + 1) tile) wide, and the tile rows follow one another.
template <class T>
struct SymmetricView {
  T* data = nullptr;
  std::int64_t n = 0;
  std::int64_t tile = 1;
  std::int64_t stride = 0;

  bool packed() const { return stride == 0; }
  /// Elements of the packed form.
  std::int64_t length() const {
    const std::int64_t whole = n / tile;
    return tile * tile * (whole * (whole + 1) / 2) + (n - whole * tile) * n;
  }
  std::int64_t tiles() const { return (n + tile - 1) / tile; }
  std::int64_t begin(std::int64_t i) const { return i * tile; }
  std::int64_t size(std::int64_t i) const { return std::min(tile, n - i * tile); }
  /// Tile row i up to its diagonal tile.
  MatrixView<T> strip(std::int64_t i) const {
    const std::int64_t width = std::min(n, (i + 1) * tile);
    if (packed()) return {data + tile * tile * (i * (i + 1) / 2), size(i), width, width};
    return {data + i * tile * stride, size(i), width, stride};
  }
  /// Row r of the lower triangle: its entries 0 .. r may be read.
  T* row(std::int64_t r) const { return strip(r / tile).row(r % tile); }
  /// Tile (i, j), j <= i.
  MatrixView<T> block(std::int64_t i, std::int64_t j) const { return strip(i).block(0, begin(j), size(i), size(j)); }
  operator SymmetricView<const T>() const { return {data, n, tile, stride}; }
};

/// A sparse matrix by rows: sorted, unique column indices; no stored zeros.
template <class T, class Pointer = std::int64_t>
struct CsrView {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  const Pointer* indptr = nullptr;        // (rows + 1)
  const std::int32_t* indices = nullptr;  // (nnz)
  const T* values = nullptr;              // (nnz), or null: every stored value is 1

  std::int64_t nnz() const { return indptr[rows] - indptr[0]; }
  T value(std::int64_t entry) const { return values ? values[entry] : T(1); }
};

}  // namespace fastlae
