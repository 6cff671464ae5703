// Scores of sparse rows over one tile of columns of W after the other: packed where many rows will want them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <vector>

#include "fastlae/views.hpp"
#include "large_buffer.hpp"
#include "simd/score_tile.hpp"

namespace fastlae {

/// One thread's way through tiles of kScoreTile columns.
///
/// Packed, a tile is copied into panels of kScorePanel columns that stay in the second-level cache while all rows of X
/// pass, panel by panel. Not packed, rows are read where they lie: that suits a few rows of X. Panels lie on large
/// pages: their rows are read in no order at all, and with small ones the addresses would take longer to look up.
template <class Stored>
class TileSums {
 public:
  using T = Accumulator<Stored>;

  TileSums(const CsrView<T>& x, MatrixView<const Stored> w, bool packed)
      : x_(x), w_(w), packed_(packed), sums_(simd::score_sums<Stored>()) {
    if (packed) panels_ = LargeBuffer<Stored>(static_cast<std::size_t>(w.rows * simd::kScoreTile));
  }

  /// Whether copying W pays for `entries` stored values of X: each row is copied once and read entries / rows times.
  static bool pays(std::int64_t entries, std::int64_t rows_of_w) { return entries > 2 * rows_of_w; }

  /// The columns from j (a multiple of kScoreTile) are the tile.
  void load(std::int64_t j) {
    begin_ = j;
    width_ = std::min(simd::kScoreTile, w_.cols - j);
    if (!packed_) return;
    constexpr std::int64_t kRowsAhead = 12, kLine = 64 / sizeof(Stored);
    for (std::int64_t i = 0; i < w_.rows; ++i) {
      if (i + kRowsAhead < w_.rows)
        for (std::int64_t c = 0; c < width_; c += kLine) __builtin_prefetch(w_.row(i + kRowsAhead) + begin_ + c);
      for (std::int64_t p = 0; p < parts(); ++p) {
        Stored* const to = panel(p) + i * simd::kScorePanel;
        std::memcpy(to, w_.row(i) + begin(p), static_cast<std::size_t>(width(p)) * sizeof(Stored));
        std::fill(to + width(p), to + simd::kScorePanel, Stored{});
      }
    }
  }

  /// A tile has parts, to be taken one after the other, each for all rows: columns [begin(p), begin(p) + width(p)).
  std::int64_t parts() const { return (width_ + step() - 1) / step(); }
  std::int64_t begin(std::int64_t part) const { return begin_ + part * step(); }
  std::int64_t width(std::int64_t part) const { return std::min(step(), width_ - part * step()); }

  /// The scores of row u over a part's columns; `out` has room for kScoreTile.
  void operator()(std::int64_t u, std::int64_t part, T* out) {
    const std::int64_t first = x_.indptr[u], count = x_.indptr[u + 1] - first;
    const std::int32_t* const indices = x_.indices + first;
    const T* const values = x_.values ? x_.values + first : nullptr;
    if (packed_)
      sums_.panel(count, indices, values, panel(part), out);
    else if (width_ == simd::kScoreTile)
      sums_.tile(count, indices, values, w_.data + begin_, w_.stride, out);
    else
      narrow(count, indices, values, out);
  }

 private:
  Stored* panel(std::int64_t part) const { return panels_.data() + part * w_.rows * simd::kScorePanel; }
  std::int64_t step() const { return packed_ ? simd::kScorePanel : simd::kScoreTile; }

  /// The last columns: their part of the rows is copied to where whole vectors can be read.
  void narrow(std::int64_t count, const std::int32_t* indices, const T* values, T* out) {
    copies_.assign(static_cast<std::size_t>(count * simd::kScoreTile), Stored{});
    positions_.resize(static_cast<std::size_t>(count));
    std::iota(positions_.begin(), positions_.end(), 0);
    for (std::int64_t e = 0; e < count; ++e)
      std::copy_n(w_.row(indices[e]) + begin_, width_, copies_.begin() + e * simd::kScoreTile);
    sums_.tile(count, positions_.data(), values, copies_.data(), simd::kScoreTile, out);
  }

  const CsrView<T>& x_;
  MatrixView<const Stored> w_;
  bool packed_;
  simd::ScoreSums<Stored> sums_;
  std::int64_t begin_ = 0, width_ = 0;
  LargeBuffer<Stored> panels_;  // one after the other
  std::vector<Stored> copies_;
  std::vector<std::int32_t> positions_;
};

}  // namespace fastlae
