#include "fastlae/topk.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "parallel.hpp"
#include "simd/score_tile.hpp"

namespace fastlae {

namespace {

using simd::kScoreTile;
using std::int64_t;

template <class T>
struct Candidate {
  T score;
  std::int32_t item;
  bool operator<(const Candidate& other) const {  // better ones first
    return score > other.score || (score == other.score && item < other.item);
  }
};

/// The best k of what it is offered. Candidates above the bar gather in a buffer; when that is full, it is cut back to
/// the best k and the bar rises, so that almost everything is turned away by one comparison.
template <class T>
class Selector {
 public:
  Selector() = default;
  /// `most` bounds what it can be offered, and with it the memory that a large k takes.
  Selector(int64_t k, int64_t most) : k_(k) { buffer_.reserve(static_cast<std::size_t>(std::min(capacity(), most))); }

  /// Offers scores[j] for item first + j. Items of later offers must be larger, so that a tie with the bar loses.
  void offer(const T* scores, int64_t count, int64_t first) {
    constexpr int64_t step = 16;
    for (int64_t j = 0; j < count; j += step) {
      const int64_t end = std::min(count, j + step);
      if (end - j == step) {  // the common case, without a branch inside
        int above = 0;
        for (int64_t l = 0; l < step; ++l) above |= scores[j + l] > bar_;
        if (!above) continue;
      }
      for (int64_t l = j; l < end; ++l)
        if (scores[l] > bar_) {
          buffer_.push_back({scores[l], static_cast<std::int32_t>(first + l)});
          if (static_cast<int64_t>(buffer_.size()) == capacity()) cut();
        }
    }
  }

  void merge(const Selector& other) {
    for (const Candidate<T>& c : other.buffer_) buffer_.push_back(c);
  }

  void finish(std::int32_t* items, float* scores) {
    const auto kept = std::min<std::size_t>(buffer_.size(), static_cast<std::size_t>(k_));
    std::partial_sort(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(kept), buffer_.end());
    for (int64_t r = 0; r < k_; ++r) {
      const bool filled = r < static_cast<int64_t>(kept);
      items[r] = filled ? buffer_[static_cast<std::size_t>(r)].item : -1;
      scores[r] = filled ? static_cast<float>(buffer_[static_cast<std::size_t>(r)].score)
                         : -std::numeric_limits<float>::infinity();
    }
    buffer_.clear();
    bar_ = -std::numeric_limits<T>::infinity();
  }

 private:
  int64_t capacity() const { return 2 * k_ + 32; }

  void cut() {
    std::nth_element(buffer_.begin(), buffer_.begin() + (k_ - 1), buffer_.end());
    buffer_.resize(static_cast<std::size_t>(k_));
    bar_ = buffer_.back().score;
  }

  int64_t k_ = 0;
  T bar_ = -std::numeric_limits<T>::infinity();
  std::vector<Candidate<T>> buffer_;
};

/// Sets what is hidden among columns [j, j + width) of row u to -inf. `at` remembers the place in the row's list
/// between calls with ascending j.
template <class T>
void hide(const Hidden& hidden, int64_t u, int64_t j, int64_t width, int64_t& at, T* tile) {
  constexpr T never = -std::numeric_limits<T>::infinity();
  if (hidden.indptr)
    for (; at < hidden.indptr[u + 1] && hidden.indices[at] < j + width; ++at) tile[hidden.indices[at] - j] = never;
  if (hidden.columns)
    for (int64_t l = 0; l < width; ++l)
      if (hidden.columns[j + l]) tile[l] = never;
}

int64_t hidden_from(const Hidden& hidden, int64_t u, int64_t j) {
  if (!hidden.indptr) return 0;
  return std::lower_bound(hidden.indices + hidden.indptr[u], hidden.indices + hidden.indptr[u + 1], j) - hidden.indices;
}

// Rows that one thread takes through all tiles at once: their buffers stay within some megabytes.
constexpr int64_t kRowsAtOnce = 4096;

}  // namespace

template <class T>
void topk(MatrixView<const T> s, const T* scale, const Hidden& hidden, MatrixView<std::int32_t> items,
          MatrixView<float> scores, const Context& context) {
  parallel_for(context, s.rows, 4, [&](int64_t first, int64_t last, int) {
    Selector<T> selector(items.cols, s.cols);
    T tile[kScoreTile];
    for (int64_t u = first; u < last; ++u) {
      int64_t at = hidden_from(hidden, u, 0);
      for (int64_t j = 0; j < s.cols; j += kScoreTile) {
        const int64_t width = std::min(kScoreTile, s.cols - j);
        const T* const row = s.row(u) + j;
        if (scale)
          for (int64_t l = 0; l < width; ++l) tile[l] = row[l] * scale[j + l];
        else
          std::copy_n(row, width, tile);
        hide(hidden, u, j, width, at, tile);
        selector.offer(tile, width, j);
      }
      selector.finish(items.row(u), scores.row(u));
    }
  });
}

template <class T>
void recommend(const CsrView<T>& x, MatrixView<const T> w, const Hidden& hidden, MatrixView<std::int32_t> items,
               MatrixView<float> scores, const Context& context) {
  const simd::ScoreTile<T> score_tile = simd::score_tile<T>();
  const int64_t k = items.cols, tiles = (w.cols + kScoreTile - 1) / kScoreTile;
  // Many users: each task takes a block of them through all tiles. Few users: the tiles are cut among the threads too,
  // and the parts' candidates merged. Either way a score is summed in the same order.
  const int64_t block = std::clamp<int64_t>(x.rows / (4 * context.num_threads), 1, kRowsAtOnce);
  const int64_t blocks = (x.rows + block - 1) / block;
  const int64_t cuts =
      blocks >= context.num_threads ? 1 : std::min<int64_t>(context.num_threads, std::max<int64_t>(1, tiles / 4));
  std::vector<Selector<T>> partial(cuts > 1 ? static_cast<std::size_t>(x.rows * cuts) : 0, Selector<T>(k, w.cols));
  parallel_for(context, blocks * cuts, 1, [&](int64_t task, int64_t, int) {
    const int64_t first = task / cuts * block, last = std::min(x.rows, first + block), cut = task % cuts;
    const int64_t tile_begin = tiles * cut / cuts, tile_end = tiles * (cut + 1) / cuts;
    std::vector<Selector<T>> own(cuts > 1 ? 0 : static_cast<std::size_t>(last - first), Selector<T>(k, w.cols));
    std::vector<int64_t> at(static_cast<std::size_t>(last - first));
    for (int64_t u = first; u < last; ++u) at[u - first] = hidden_from(hidden, u, tile_begin * kScoreTile);
    T tile[kScoreTile];
    for (int64_t t = tile_begin; t < tile_end; ++t) {
      const int64_t j = t * kScoreTile, width = std::min(kScoreTile, w.cols - j);
      for (int64_t u = first; u < last; ++u) {
        const int64_t begin = x.indptr[u], count = x.indptr[u + 1] - begin;
        if (count == 0) continue;
        score_tile(count, x.indices + begin, x.values ? x.values + begin : nullptr, w.data + j, w.stride, width, tile);
        hide(hidden, u, j, width, at[u - first], tile);
        (cuts > 1 ? partial[u * cuts + cut] : own[u - first]).offer(tile, width, j);
      }
    }
    if (cuts == 1)
      for (int64_t u = first; u < last; ++u) own[u - first].finish(items.row(u), scores.row(u));
  });
  if (cuts > 1)
    for (int64_t u = 0; u < x.rows; ++u) {
      for (int64_t cut = 1; cut < cuts; ++cut) partial[u * cuts].merge(partial[u * cuts + cut]);
      partial[u * cuts].finish(items.row(u), scores.row(u));
    }
}

template <class T>
void recommend(const CsrView<T>& x, const CsrView<T>& w, const Hidden& hidden, MatrixView<std::int32_t> items,
               MatrixView<float> scores, const Context& context) {
  parallel_for(context, x.rows, 16, [&](int64_t first, int64_t last, int) {
    Selector<T> selector(items.cols, w.cols);
    std::vector<T> row(static_cast<std::size_t>(w.cols));
    for (int64_t u = first; u < last; ++u) {
      if (x.indptr[u] < x.indptr[u + 1]) {
        std::fill(row.begin(), row.end(), T(0));
        for (int64_t e = x.indptr[u]; e < x.indptr[u + 1]; ++e) {
          const int64_t i = x.indices[e];
          const T value = x.value(e);
          for (int64_t f = w.indptr[i]; f < w.indptr[i + 1]; ++f) row[w.indices[f]] += value * w.value(f);
        }
        int64_t at = hidden_from(hidden, u, 0);
        hide(hidden, u, 0, w.cols, at, row.data());
        selector.offer(row.data(), w.cols, 0);
      }
      selector.finish(items.row(u), scores.row(u));
    }
  });
}

#define FASTLAE_INSTANTIATE(T)                                                                                     \
  template void topk<T>(MatrixView<const T>, const T*, const Hidden&, MatrixView<std::int32_t>, MatrixView<float>, \
                        const Context&);                                                                           \
  template void recommend<T>(const CsrView<T>&, MatrixView<const T>, const Hidden&, MatrixView<std::int32_t>,      \
                             MatrixView<float>, const Context&);                                                   \
  template void recommend<T>(const CsrView<T>&, const CsrView<T>&, const Hidden&, MatrixView<std::int32_t>,        \
                             MatrixView<float>, const Context&);
FASTLAE_INSTANTIATE(float)
FASTLAE_INSTANTIATE(double)

}  // namespace fastlae
