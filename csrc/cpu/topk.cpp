#include "fastlae/topk.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <vector>

#include "parallel.hpp"
#include "tile_sums.hpp"

namespace fastlae {

namespace {

using std::int64_t;

constexpr int64_t kCandidateBytes = 64 << 20;  // for what a block of users keeps while W passes
// Branches of the selection are hard to foresee. Scores of some users are summed first, so that a wrong guess does not
// throw away what was being fetched for the next user.
constexpr int64_t kUsersAtOnce = 16;
constexpr int64_t kRowsAhead = 8;       // of a sparse W that are fetched before they are needed
constexpr int64_t kGroupsPerPlace = 4;  // of columns, for Selector::foresee

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
  /// Candidates that it keeps at a time.
  static int64_t capacity(int64_t k) { return 2 * k + 32; }
  /// Room that its buffer needs; `most` bounds what it can be offered, and with it the memory that a large k takes.
  static int64_t room(int64_t k, int64_t most) { return std::min(capacity(k), most); }

  Selector() = default;
  Selector(int64_t k, Candidate<T>* buffer) : k_(k), buffer_(buffer) {}

  /// Offers scores[j] for item first + j. Items of later offers must be larger, so that a tie with the bar loses.
  void offer(simd::Above<T> above, const T* scores, int64_t count, int64_t first) {
    for (int64_t j = 0; j < count; j += kAtOnce) {
      std::uint32_t found = above_bar(above, scores + j, count - j);
      while (found) {
        const int64_t l = j + __builtin_ctz(found);
        found &= found - 1;
        buffer_[size_++] = {scores[l], static_cast<std::int32_t>(first + l)};
        if (size_ == capacity(k_)) {
          cut();
          found &= above_bar(above, scores + j, count - j);
        }
      }
    }
  }

  /// Raises the bar as far as `count` scores show without being sorted, before they are offered. Columns that are equal
  /// modulo the number of groups make a group; the k-th largest of the groups' maxima is reached by k scores. So hardly
  /// more than k candidates will pass, instead of k log(count / k), and the buffer need not be cut back.
  void foresee(const T* scores, int64_t count, std::vector<T>& maxima) {
    const int64_t groups = std::max<int64_t>(kGroupsPerPlace * k_, 4 * kAtOnce);
    if (size_ > 0 || count < 4 * groups) return;
    maxima.assign(scores, scores + groups);
    T* const most = maxima.data();
    for (int64_t begin = groups; begin < count; begin += groups) {
      const int64_t width = std::min(groups, count - begin);
      for (int64_t g = 0; g < width; ++g) most[g] = larger(scores[begin + g], most[g]);
    }
    for (T& m : maxima) m = larger(m, -std::numeric_limits<T>::infinity());  // NaN is no score
    std::nth_element(maxima.begin(), maxima.begin() + (k_ - 1), maxima.end(), std::greater<T>());
    const T reached = maxima[static_cast<std::size_t>(k_ - 1)];
    if (std::isfinite(reached)) bar_ = std::nextafter(reached, -std::numeric_limits<T>::infinity());
  }

  /// Fetches where the next candidates go: buffers of many users are more than a cache holds.
  void prefetch() const { __builtin_prefetch(buffer_ + size_, 1); }

  const Candidate<T>* begin() const { return buffer_; }
  const Candidate<T>* end() const { return buffer_ + size_; }
  /// Turns away what is not above `bar` from now on; at least k of what is offered must be.
  void raise(T bar) { bar_ = bar; }
  void clear() {
    size_ = 0;
    bar_ = -std::numeric_limits<T>::infinity();
  }

 private:
  static constexpr int64_t kAtOnce = simd::kScorePanel;

  std::uint32_t above_bar(simd::Above<T> above, const T* scores, int64_t count) const {
    if (count >= kAtOnce) return above(scores, bar_);
    std::uint32_t found = 0;
    for (int64_t l = 0; l < count; ++l) found |= static_cast<std::uint32_t>(scores[l] > bar_) << l;
    return found;
  }

  static T larger(T a, T b) { return a > b ? a : b; }

  void cut() {
    std::nth_element(buffer_, buffer_ + (k_ - 1), buffer_ + size_);
    size_ = k_;
    bar_ = buffer_[k_ - 1].score;
  }

  int64_t k_ = 0, size_ = 0;
  T bar_ = -std::numeric_limits<T>::infinity();
  Candidate<T>* buffer_ = nullptr;
};

/// The best of `candidates`, which are put into order, into a row of the result.
template <class T>
void finish(Candidate<T>* candidates, int64_t count, int64_t k, std::int32_t* items, float* scores) {
  const int64_t kept = std::min(count, k);
  if (kept < count) std::nth_element(candidates, candidates + kept, candidates + count);
  std::sort(candidates, candidates + kept);
  for (int64_t r = 0; r < kept; ++r) {
    items[r] = candidates[r].item;
    scores[r] = static_cast<float>(candidates[r].score);
  }
  std::fill(items + kept, items + k, -1);
  std::fill(scores + kept, scores + k, -std::numeric_limits<float>::infinity());
}

/// Selectors of some users, one for each thread: whoever meets a good item notes it without asking the others.
template <class T>
class Selectors {
 public:
  Selectors(int64_t users, int threads, int64_t k, int64_t n)
      : users_(users),
        threads_(threads),
        k_(k),
        room_(Selector<T>::room(k, n)),
        memory_(new Candidate<T>[static_cast<std::size_t>(users * threads * room_)]),
        selectors_(static_cast<std::size_t>(users * threads)) {
    for (int64_t s = 0; s < users * threads; ++s)
      selectors_[static_cast<std::size_t>(s)] = Selector<T>(k, memory_.get() + s * room_);
  }
  /// Bytes that one user takes.
  static int64_t bytes(int threads, int64_t k, int64_t n) {
    return threads * static_cast<int64_t>(Selector<T>::room(k, n) * sizeof(Candidate<T>) + sizeof(Selector<T>));
  }

  Selector<T>* of_thread(int thread) { return selectors_.data() + thread * users_; }

  /// User u's best of all threads.
  void finish(int64_t u, std::int32_t* items, float* scores) {
    if (threads_ == 1)
      return fastlae::finish(memory_.get() + u * room_, of(u, 0).end() - of(u, 0).begin(), k_, items, scores);
    std::vector<Candidate<T>> all;
    all.reserve(static_cast<std::size_t>(threads_ * room_));
    for (int thread = 0; thread < threads_; ++thread) all.insert(all.end(), of(u, thread).begin(), of(u, thread).end());
    fastlae::finish(all.data(), static_cast<int64_t>(all.size()), k_, items, scores);
  }

 private:
  const Selector<T>& of(int64_t u, int thread) const {
    return selectors_[static_cast<std::size_t>(thread * users_ + u)];
  }

  int64_t users_;
  int threads_;
  int64_t k_, room_;
  std::unique_ptr<Candidate<T>[]> memory_;
  std::vector<Selector<T>> selectors_;
};

int64_t hidden_begin(const Hidden& hidden, int64_t u) {
  return hidden.indptr ? hidden.indptr[u] : 0;
}

/// Sets what is hidden among columns [j, j + width) of row u to -inf. `at` remembers the place in the row's list
/// between calls with ascending j, and starts at the row's beginning.
template <class T>
void hide(const Hidden& hidden, int64_t u, int64_t j, int64_t width, int64_t& at, T* tile) {
  constexpr T never = -std::numeric_limits<T>::infinity();
  if (hidden.indptr) {
    const int64_t end = hidden.indptr[u + 1];
    while (at < end && hidden.indices[at] < j) ++at;
    for (; at < end && hidden.indices[at] < j + width; ++at) tile[hidden.indices[at] - j] = never;
  }
  if (hidden.columns)
    for (int64_t l = 0; l < width; ++l)
      if (hidden.columns[j + l]) tile[l] = never;
}

/// Selects from one whole row after the other.
template <class T>
class RowSelector {
 public:
  RowSelector(int64_t n, int64_t k)
      : n_(n),
        k_(k),
        row_(new T[static_cast<std::size_t>(n)]),
        candidates_(new Candidate<T>[static_cast<std::size_t>(Selector<T>::room(k, n))]) {}

  /// Where the n scores of the next row go.
  T* row() { return row_.get(); }

  /// The k best of them but for what is hidden, which they lose.
  /// Scores up to `bar` may be passed over.
  void operator()(const Hidden& hidden, int64_t u, std::int32_t* items, float* scores,
                  T bar = -std::numeric_limits<T>::infinity()) {
    Selector<T> selector(k_, candidates_.get());
    int64_t at = hidden_begin(hidden, u);
    hide(hidden, u, 0, n_, at, row());
    if (bar > -std::numeric_limits<T>::infinity())
      selector.raise(bar);
    else
      selector.foresee(row(), n_, maxima_);
    selector.offer(above_, row(), n_, 0);
    finish(candidates_.get(), selector.end() - selector.begin(), k_, items, scores);
  }

 private:
  const simd::Above<T> above_ = simd::above<T>();
  int64_t n_, k_;
  std::unique_ptr<T[]> row_;
  std::unique_ptr<Candidate<T>[]> candidates_;
  std::vector<T> maxima_;
};

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

/// Whether nobody, or user u, may be recommended item i.
bool is_hidden(const Hidden& hidden, int64_t u, std::int32_t i) {
  if (hidden.columns && hidden.columns[i]) return true;
  return hidden.indptr &&
         std::binary_search(hidden.indices + hidden.indptr[u], hidden.indices + hidden.indptr[u + 1], i);
}

/// A score that at least k items of row u exceed, or -infinity where the hint does not tell.
template <class T>
T hinted_bar(MatrixView<const std::int32_t> hint, const MatrixView<const T>& s, const T* scale, const Hidden& hidden,
             int64_t u, int64_t k) {
  T least = std::numeric_limits<T>::infinity();
  int64_t count = 0;
  for (int64_t h = 0; h < hint.cols; ++h) {
    const std::int32_t i = hint.row(u)[h];
    if (i < 0 || i >= s.cols || is_hidden(hidden, u, i)) continue;
    const T score = scale ? s.row(u)[i] * scale[i] : s.row(u)[i];
    if (!(score > -std::numeric_limits<T>::infinity())) continue;
    least = std::min(least, score);
    ++count;
  }
  if (count < k) return -std::numeric_limits<T>::infinity();
  return std::nextafter(least, -std::numeric_limits<T>::infinity());  // so that what is equal to the least gets in
}

}  // namespace

template <class T>
void topk(MatrixView<const T> s, const T* scale, const Hidden& hidden, MatrixView<std::int32_t> items,
          MatrixView<float> scores, const Context& context, MatrixView<const std::int32_t> hint) {
  parallel_for(context, s.rows, 4, [&](int64_t first, int64_t last, int) {
    RowSelector<T> select(s.cols, items.cols);
    for (int64_t u = first; u < last; ++u) {
      const T* const row = s.row(u);
      T* const copy = select.row();
      if (scale)
        for (int64_t j = 0; j < s.cols; ++j) copy[j] = row[j] * scale[j];
      else
        std::copy_n(row, s.cols, copy);
      const T bar = hinted_bar(hint, s, scale, hidden, u, items.cols);
      select(hidden, u, items.row(u), scores.row(u), bar);
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
                        const Context&, MatrixView<const std::int32_t>);
FASTLAE_TOPK(float)
FASTLAE_TOPK(double)

}  // namespace fastlae
