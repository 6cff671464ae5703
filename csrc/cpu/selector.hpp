// Of scores that come bit by bit, the k best of every row.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <vector>

#include "fastlae/topk.hpp"
#include "simd/score_tile.hpp"

namespace fastlae {

using std::int64_t;

constexpr int64_t kGroupsPerPlace = 4;         // of columns, for Selector::foresee
constexpr int64_t kCandidateBytes = 64 << 20;  // for what a block of users keeps while all columns pass

template <class T>
struct Candidate {
  T score;
  std::int32_t item;
  bool operator<(const Candidate& other) const {  // better ones first
    return score > other.score || (score == other.score && item < other.item);
  }
};

/// A number below `score` and above all that is clearly smaller. Not one too small to be normal: threads of a program
/// that flushes those to zero would not see it below zero.
template <class T>
T just_below(T score) {
  constexpr T smallest = std::numeric_limits<T>::min();
  return std::abs(score) <= smallest ? -smallest : std::nextafter(score, -std::numeric_limits<T>::infinity());
}

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
    if (std::isfinite(reached)) bar_ = just_below(reached);
  }

  /// Turns away what is not above `bar` from now on; at least k of what is offered must be.
  void raise(T bar) { bar_ = bar; }

  /// Fetches where the next candidates go: buffers of many users are more than a cache holds.
  void prefetch() const { __builtin_prefetch(buffer_ + size_, 1); }

  const Candidate<T>* begin() const { return buffer_; }
  const Candidate<T>* end() const { return buffer_ + size_; }
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

/// Where `hide` starts in the list of row u.
inline int64_t hidden_begin(const Hidden& hidden, int64_t u) {
  return hidden.indptr ? hidden.indptr[u] : 0;
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
  void operator()(const Hidden& hidden, int64_t u, std::int32_t* items, float* scores) {
    Selector<T> selector(k_, candidates_.get());
    int64_t at = hidden_begin(hidden, u);
    hide(hidden, u, 0, n_, at, row());
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

}  // namespace fastlae
