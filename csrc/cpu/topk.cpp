#include "fastlae/topk.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <vector>

#include "parallel.hpp"
#include "selector.hpp"
#include "tile_sums.hpp"

namespace fastlae {

namespace {

using simd::kScoreTile;
using std::int64_t;

// Branches of the selection are hard to foresee. Scores of some users are summed first, so that a wrong guess does not
// throw away what was being fetched for the next user.
constexpr int64_t kUsersAtOnce = 16;
constexpr int64_t kRowsAhead = 3;    // of a sparse W that are fetched before they are needed
constexpr int64_t kTilesAtOnce = 8;  // a thread takes at a time: four kilobytes of every row

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

}  // namespace

template <class T>
void topk(MatrixView<const T> s, const T* scale, const Hidden& hidden, MatrixView<std::int32_t> items,
          MatrixView<float> scores, const Context& context) {
  const int64_t k = items.cols;
  const simd::Above<T> above = simd::above<T>();
  parallel_for(context, s.rows, 4, [&](int64_t first, int64_t last, int) {
    const std::unique_ptr<Candidate<T>[]> buffer(
        new Candidate<T>[static_cast<std::size_t>(Selector<T>::room(k, s.cols))]);
    T tile[kScoreTile];
    for (int64_t u = first; u < last; ++u) {
      Selector<T> selector(k, buffer.get());
      int64_t at = hidden_begin(hidden, u);
      for (int64_t j = 0; j < s.cols; j += kScoreTile) {
        const int64_t width = std::min(kScoreTile, s.cols - j);
        const T* const row = s.row(u) + j;
        if (scale)
          for (int64_t l = 0; l < width; ++l) tile[l] = row[l] * scale[j + l];
        else
          std::copy_n(row, width, tile);
        hide(hidden, u, j, width, at, tile);
        selector.offer(above, tile, width, j);
      }
      finish(buffer.get(), selector.end() - selector.begin(), k, items.row(u), scores.row(u));
    }
  });
}

template <class Stored>
void recommend(const CsrView<Accumulator<Stored>>& x, MatrixView<const Stored> w, const Hidden& hidden,
               MatrixView<std::int32_t> items, MatrixView<float> scores, const Context& context) {
  using T = Accumulator<Stored>;
  const simd::Above<T> above = simd::above<T>();
  const int64_t k = items.cols, tiles = (w.cols + kScoreTile - 1) / kScoreTile;
  const int threads = static_cast<int>(std::clamp<int64_t>(tiles, 1, context.num_threads));
  // W is read once for every block of users, so blocks are as large as some memory for their candidates allows.
  const int64_t block = std::clamp<int64_t>(kCandidateBytes / Selectors<T>::bytes(threads, k, w.cols), 64, 8192);
  for (int64_t first = 0; first < x.rows; first += block) {
    const int64_t users = std::min(block, x.rows - first);
    const bool packed = TileSums<Stored>::pays(x.indptr[first + users] - x.indptr[first], w.rows);
    Selectors<T> selectors(users, threads, k, w.cols);
    std::vector<int64_t> places(static_cast<std::size_t>(users * threads));  // in the users' lists of hidden items
    for (int64_t s = 0; s < users * threads; ++s)
      places[static_cast<std::size_t>(s)] = hidden_begin(hidden, first + s % users);
    std::vector<std::unique_ptr<TileSums<Stored>>> sums(static_cast<std::size_t>(threads));
    // Threads take tiles in ascending order, the next one whoever is free: nobody waits for a thread that wakes up.
    parallel_for(context, tiles, packed ? 1 : kTilesAtOnce, [&](int64_t tile_begin, int64_t tile_end, int thread) {
      auto& own = sums[static_cast<std::size_t>(thread)];
      if (!own) own = std::make_unique<TileSums<Stored>>(x, w, packed);
      Selector<T>* const selector = selectors.of_thread(thread);
      int64_t* const place = places.data() + thread * users;
      T batch[kUsersAtOnce][kScoreTile];
      for (int64_t t = tile_begin; t < tile_end; ++t) {
        own->load(t * kScoreTile);
        for (int64_t part = 0; part < own->parts(); ++part) {
          const int64_t j = own->begin(part), width = own->width(part);
          for (int64_t begin = 0; begin < users; begin += kUsersAtOnce) {
            const int64_t end = std::min(users, begin + kUsersAtOnce);
            for (int64_t u = begin; u < end; ++u) {
              (*own)(first + u, part, batch[u - begin]);
              selector[u].prefetch();
            }
            for (int64_t u = begin; u < end; ++u) {
              if (x.indptr[first + u] == x.indptr[first + u + 1]) continue;
              hide(hidden, first + u, j, width, place[u], batch[u - begin]);
              selector[u].offer(above, batch[u - begin], width, j);
            }
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
  const int64_t k = items.cols;
  const simd::Above<T> above = simd::above<T>();
  parallel_for(context, x.rows, 16, [&](int64_t first, int64_t last, int) {
    const std::unique_ptr<Candidate<T>[]> buffer(
        new Candidate<T>[static_cast<std::size_t>(Selector<T>::room(k, w.cols))]);
    const std::unique_ptr<T[]> row(new T[static_cast<std::size_t>(w.cols)]);
    for (int64_t u = first; u < last; ++u) {
      Selector<T> selector(k, buffer.get());
      if (x.indptr[u] < x.indptr[u + 1]) {
        std::fill_n(row.get(), w.cols, T(0));
        for (int64_t e = x.indptr[u]; e < x.indptr[u + 1]; ++e) {
          const int64_t i = x.indices[e];
          const T value = x.value(e);
          if (e + kRowsAhead < x.indptr[u + 1]) prefetch_row(w, x.indices[e + kRowsAhead], entries);
          check_row(w, i, entries);
          for (int64_t f = w.indptr[i]; f < w.indptr[i + 1]; ++f) row[w.indices[f]] += value * w.value(f);
        }
        int64_t at = hidden_begin(hidden, u);
        hide(hidden, u, 0, w.cols, at, row.get());
        selector.offer(above, row.get(), w.cols, 0);
      }
      finish(buffer.get(), selector.end() - selector.begin(), k, items.row(u), scores.row(u));
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
                        const Context&);
FASTLAE_TOPK(float)
FASTLAE_TOPK(double)

}  // namespace fastlae
