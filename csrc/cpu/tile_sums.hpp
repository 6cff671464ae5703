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

/// One thread's way through the columns, so many at a time.
///
/// Packed, a tile of kScoreTile columns is copied into panels of kScorePanel columns that stay in the second-level
/// cache while all rows of X pass, panel by panel. Not packed, rows are read where they lie, kWide columns of one after
/// the other: that suits a few rows of X. Panels lie on large pages: their rows are read in no order at all, and with
/// small ones the addresses would take longer to look up.
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

  static constexpr std::int64_t kWide = 16 * simd::kScoreTile;

  /// Columns that are loaded at a time.
  static std::int64_t columns(bool packed) { return packed ? simd::kScoreTile : kWide; }

  /// The columns from j (a multiple of `columns`) come next.
  void load(std::int64_t j) {
    begin_ = j;
    width_ = std::min(columns(packed_), w_.cols - j);
    whole_ = width_ / simd::kScoreTile * simd::kScoreTile;
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

  /// What is loaded has parts, to be taken one after the other, each for all rows: columns
  /// [begin(p), begin(p) + width(p)), packed the panels, else whole tiles and then what is left.
  std::int64_t parts() const {
    if (packed_) return (width_ + simd::kScorePanel - 1) / simd::kScorePanel;
    return (whole_ > 0) + (whole_ < width_);
  }
  std::int64_t begin(std::int64_t part) const { return begin_ + part * (packed_ ? simd::kScorePanel : whole_); }
  std::int64_t width(std::int64_t part) const {
    if (packed_) return std::min(simd::kScorePanel, width_ - part * simd::kScorePanel);
    return part == 0 && whole_ > 0 ? whole_ : width_ - whole_;
  }

  /// The scores of row u over a part's columns; `out` has room for columns(packed).
  void operator()(std::int64_t u, std::int64_t part, T* out) {
    const std::int64_t first = x_.indptr[u], count = x_.indptr[u + 1] - first;
    const std::int32_t* const indices = x_.indices + first;
    const T* const values = x_.values ? x_.values + first : nullptr;
    if (packed_)
      sums_.panel(count, indices, values, panel(part), out);
    else if (part == 0 && whole_ > 0)
      sums_.rows(count, indices, values, w_.data + begin_, w_.stride, whole_, out);
    else
      narrow(count, indices, values, begin(part), width(part), out);
  }

 private:
  Stored* panel(std::int64_t part) const { return panels_.data() + part * w_.rows * simd::kScorePanel; }

  /// The last columns: their part of the rows is copied to where whole vectors can be read.
  void narrow(std::int64_t count, const std::int32_t* indices, const T* values, std::int64_t begin, std::int64_t width,
              T* out) {
    copies_.assign(static_cast<std::size_t>(count * simd::kScoreTile), Stored{});
    positions_.resize(static_cast<std::size_t>(count));
    std::iota(positions_.begin(), positions_.end(), 0);
    for (std::int64_t e = 0; e < count; ++e)
      std::copy_n(w_.row(indices[e]) + begin, width, copies_.begin() + e * simd::kScoreTile);
    sums_.rows(count, positions_.data(), values, copies_.data(), simd::kScoreTile, simd::kScoreTile, out);
  }

  const CsrView<T>& x_;
  MatrixView<const Stored> w_;
  bool packed_;
  simd::ScoreSums<Stored> sums_;
  std::int64_t begin_ = 0, width_ = 0;  // of what is loaded
  std::int64_t whole_ = 0;              // of that, in whole tiles
  LargeBuffer<Stored> panels_;          // one after the other
  std::vector<Stored> copies_;
  std::vector<std::int32_t> positions_;
};

}  // namespace fastlae
