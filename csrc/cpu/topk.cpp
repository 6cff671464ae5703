#include "fastlae/topk.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <stdexcept>
#include <vector>

#include "parallel.hpp"
#include "selector.hpp"
#include "tile_sums.hpp"

namespace fastlae {

namespace {

using std::int64_t;

// Branches of the selection are hard to foresee. Scores of some users are summed first, so that a wrong guess does not
// throw away what was being fetched for the next user.
constexpr int64_t kUsersAtOnce = 16;
constexpr int64_t kRowsAhead = 8;  // of a sparse W that are fetched before they are needed

/// That row i of W lies within its `entries` stored values, and its columns within W.
template <class T, class Pointer>
void check_row(const CsrView<T, Pointer>& w, int64_t i, int64_t entries) {
  const int64_t begin = w.indptr[i], end = w.indptr[i + 1];
  bool sound = 0 <= begin && begin <= end && end <= entries;
  if (sound) {
    std::uint32_t largest = 0;  // negative ones are large
    for (int64_t f = begin; f < end; ++f) largest = std::max(largest, static_cast<std::uint32_t>(w.indices[f]));
    sound = begin == end || largest < static_cast<std::uint64_t>(w.cols);
  }
  if (!sound) throw std::invalid_argument("W: row pointers or column indices are out of range");
}

/// Fetches the beginning of row i of W: rows lie apart, and most are shorter than what a processor would foresee.
template <class T, class Pointer>
void prefetch_row(const CsrView<T, Pointer>& w, int64_t i, int64_t entries) {
  constexpr int64_t kMost = 128, kLine = 64 / sizeof(T);
  const int64_t begin = w.indptr[i], end = w.indptr[i + 1];
  if (begin < 0 || end > entries) return;
  for (int64_t f = begin; f < end && f - begin < kMost; f += kLine) {
    __builtin_prefetch(w.indices + f);
    __builtin_prefetch(w.values + f);
  }
}

/// Sets what is hidden in row u to NaN, which stays NaN under any scale and is above nothing.
template <class T>
void blot_out(const Hidden& hidden, int64_t u, int64_t n, T* row) {
  constexpr T nothing = std::numeric_limits<T>::quiet_NaN();
  if (hidden.indptr)
    for (int64_t at = hidden.indptr[u]; at < hidden.indptr[u + 1]; ++at) row[hidden.indices[at]] = nothing;
  if (hidden.columns)
    for (int64_t j = 0; j < n; ++j)
      if (hidden.columns[j]) row[j] = nothing;
}

/// What lies just below the worst of k scores that are known, or -infinity where fewer are.
template <class T>
T bar_below(const std::int32_t* known, int64_t k, const T* row, const T* scale) {
  constexpr T lowest = -std::numeric_limits<T>::infinity();
  T least = std::numeric_limits<T>::infinity();
  for (int64_t r = 0; r < k; ++r) {
    if (known[r] < 0) return lowest;
    const T score = row[known[r]] * scale[known[r]];
    if (!(score > lowest)) return lowest;
    least = std::min(least, score);
  }
  return just_below(least);  // so that what is equal to the least gets in
}

}  // namespace

template <class T>
void topk(MatrixView<const T> s, const T* scale, const Hidden& hidden, MatrixView<std::int32_t> items,
          MatrixView<float> scores, const Context& context) {
  parallel_for(context, s.rows, 4, [&](int64_t first, int64_t last, int) {
    RowSelector<T> select(s.cols, items.cols);
    for (int64_t u = first; u < last; ++u) {
      const T* const row = s.row(u);
      T* const copy = select.row();
      if (scale)
        for (int64_t j = 0; j < s.cols; ++j) copy[j] = row[j] * scale[j];
      else
        std::copy_n(row, s.cols, copy);
      select(hidden, u, items.row(u), scores.row(u));
    }
  });
}

template <class T>
void topk_scaled(MatrixView<const T> s, MatrixView<const T> scales, const Hidden& hidden, std::int32_t* items,
                 int64_t k, const Context& context) {
  const simd::Above<T> above = simd::above<T>();
  parallel_for(context, s.rows, 4, [&](int64_t first, int64_t last, int) {
    const std::unique_ptr<T[]> row(new T[static_cast<std::size_t>(s.cols)]);
    const std::unique_ptr<T[]> scaled(new T[static_cast<std::size_t>(s.cols)]);
    const std::unique_ptr<Candidate<T>[]> buffer(
        new Candidate<T>[static_cast<std::size_t>(Selector<T>::room(k, s.cols))]);
    std::vector<float> scores(static_cast<std::size_t>(k));
    std::vector<T> maxima;
    for (int64_t u = first; u < last; ++u) {
      std::copy_n(s.row(u), s.cols, row.get());
      blot_out(hidden, u, s.cols, row.get());
      for (int64_t c = 0; c < scales.rows; ++c) {
        const T* const scale = scales.row(c);
        for (int64_t j = 0; j < s.cols; ++j) scaled[j] = row[j] * scale[j];
        std::int32_t* const best = items + (c * s.rows + u) * k;
        Selector<T> selector(k, buffer.get());
        const T bar = c > 0 ? bar_below(best - s.rows * k, k, row.get(), scale) : -std::numeric_limits<T>::infinity();
        if (std::isfinite(bar))
          selector.raise(bar);
        else
          selector.foresee(scaled.get(), s.cols, maxima);
        selector.offer(above, scaled.get(), s.cols, 0);
        finish(buffer.get(), selector.end() - selector.begin(), k, best, scores.data());
      }
    }
  });
}

template <class Stored>
void recommend(const CsrView<Accumulator<Stored>>& x, MatrixView<const Stored> w, const Hidden& hidden,
               MatrixView<std::int32_t> items, MatrixView<float> scores, const Context& context) {
  using T = Accumulator<Stored>;
  const simd::Above<T> above = simd::above<T>();
  const int64_t k = items.cols, most = (w.cols + TileSums<Stored>::columns(true) - 1) / TileSums<Stored>::columns(true);
  const int threads = static_cast<int>(std::clamp<int64_t>(most, 1, context.num_threads));
  // W is read once for every block of users, so blocks are as large as some memory for their candidates allows.
  const int64_t block = std::clamp<int64_t>(kCandidateBytes / Selectors<T>::bytes(threads, k, w.cols), 64, 8192);
  for (int64_t first = 0; first < x.rows; first += block) {
    const int64_t users = std::min(block, x.rows - first);
    const bool packed = TileSums<Stored>::pays(x.indptr[first + users] - x.indptr[first], w.rows);
    const int64_t columns = TileSums<Stored>::columns(packed), tiles = (w.cols + columns - 1) / columns;
    Selectors<T> selectors(users, threads, k, w.cols);
    std::vector<int64_t> places(static_cast<std::size_t>(users * threads));  // in the users' lists of hidden items
    for (int64_t s = 0; s < users * threads; ++s)
      places[static_cast<std::size_t>(s)] = hidden_begin(hidden, first + s % users);
    std::vector<std::unique_ptr<TileSums<Stored>>> sums(static_cast<std::size_t>(threads));
    // Threads take tiles in ascending order, the next one whoever is free: nobody waits for a thread that wakes up.
    parallel_for(context, tiles, 1, [&](int64_t tile, int64_t, int thread) {
      auto& own = sums[static_cast<std::size_t>(thread)];
      if (!own) own = std::make_unique<TileSums<Stored>>(x, w, packed);
      Selector<T>* const selector = selectors.of_thread(thread);
      int64_t* const place = places.data() + thread * users;
      const std::unique_ptr<T[]> batch(new T[static_cast<std::size_t>(kUsersAtOnce * columns)]);
      std::vector<T> maxima;
      own->load(tile * columns);
      for (int64_t part = 0; part < own->parts(); ++part) {
        const int64_t j = own->begin(part), width = own->width(part);
        for (int64_t begin = 0; begin < users; begin += kUsersAtOnce) {
          const int64_t end = std::min(users, begin + kUsersAtOnce);
          for (int64_t u = begin; u < end; ++u) {
            (*own)(first + u, part, batch.get() + (u - begin) * columns);
            selector[u].prefetch();
          }
          for (int64_t u = begin; u < end; ++u) {
            if (x.indptr[first + u] == x.indptr[first + u + 1]) continue;
            T* const sums_of_user = batch.get() + (u - begin) * columns;
            hide(hidden, first + u, j, width, place[u], sums_of_user);
            selector[u].foresee(sums_of_user, width, maxima);
            selector[u].offer(above, sums_of_user, width, j);
          }
        }
      }
    });
    parallel_for(context, users, 32, [&](int64_t begin, int64_t end, int) {
      for (int64_t u = begin; u < end; ++u) selectors.finish(u, items.row(first + u), scores.row(first + u));
    });
  }
}

template <class T, class Pointer>
void recommend(const CsrView<T>& x, const CsrView<T, Pointer>& w, int64_t entries, const Hidden& hidden,
               MatrixView<std::int32_t> items, MatrixView<float> scores, const Context& context) {
  parallel_for(context, x.rows, 16, [&](int64_t first, int64_t last, int) {
    RowSelector<T> select(w.cols, items.cols);
    T* const row = select.row();
    for (int64_t u = first; u < last; ++u) {
      const int64_t begin = x.indptr[u], end = x.indptr[u + 1];
      if (begin == end) {
        finish<T>(nullptr, 0, items.cols, items.row(u), scores.row(u));
        continue;
      }
      std::fill_n(row, w.cols, T(0));
      for (int64_t e = begin; e < end; ++e) __builtin_prefetch(w.indptr + x.indices[e]);
      for (int64_t e = begin; e < std::min(end, begin + kRowsAhead); ++e) prefetch_row(w, x.indices[e], entries);
      for (int64_t e = begin; e < end; ++e) {
        const int64_t i = x.indices[e];
        const T value = x.value(e);
        if (e + kRowsAhead < end) prefetch_row(w, x.indices[e + kRowsAhead], entries);
        check_row(w, i, entries);
        for (int64_t f = w.indptr[i]; f < w.indptr[i + 1]; ++f) row[w.indices[f]] += value * w.value(f);
      }
      select(hidden, u, items.row(u), scores.row(u));
    }
  });
}

#define FASTLAE_DENSE(Stored)                                                                                   \
  template void recommend<Stored>(const CsrView<Accumulator<Stored>>&, MatrixView<const Stored>, const Hidden&, \
                                  MatrixView<std::int32_t>, MatrixView<float>, const Context&);
FASTLAE_DENSE(float)
FASTLAE_DENSE(double)
FASTLAE_DENSE(Float16)
FASTLAE_DENSE(Bfloat16)
#define FASTLAE_SPARSE(T, Pointer)                                                                           \
  template void recommend<T, Pointer>(const CsrView<T>&, const CsrView<T, Pointer>&, int64_t, const Hidden&, \
                                      MatrixView<std::int32_t>, MatrixView<float>, const Context&);
FASTLAE_SPARSE(float, std::int32_t)
FASTLAE_SPARSE(float, std::int64_t)
FASTLAE_SPARSE(double, std::int32_t)
FASTLAE_SPARSE(double, std::int64_t)
#define FASTLAE_TOPK(T)                                                                                            \
  template void topk<T>(MatrixView<const T>, const T*, const Hidden&, MatrixView<std::int32_t>, MatrixView<float>, \
                        const Context&);                                                                           \
  template void topk_scaled<T>(MatrixView<const T>, MatrixView<const T>, const Hidden&, std::int32_t*, int64_t,    \
                               const Context&);
FASTLAE_TOPK(float)
FASTLAE_TOPK(double)

}  // namespace fastlae
