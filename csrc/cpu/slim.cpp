// Coordinate descent with an active set. A round solves the problem of the active items alone, on their own small Gram
// matrix, which stays in cache; then one pass over the rows of G of the weights that changed brings the gradient of all
// items up to date and shows who else should be active. The worst offenders join first: at the start most items look
// like it, and after the first few have their weight most do not any more.
#include "fastlae/slim.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <vector>

#include "parallel.hpp"
#include "simd/slim_rows.hpp"

namespace fastlae {

namespace {

using std::int64_t;

constexpr int64_t kJoin = 48;       // items that may join in a round, at least
constexpr int64_t kCompact = 1024;  // active items whose Gram matrix is copied: 4 MB in float32
constexpr double kInner = 0.2;      // share of the tolerance for the problem of the active items
constexpr int kMaxRounds = 1000;

/// One thread's solver; everything in it is used again for the next column.
template <class T>
class ColumnSolver {
 public:
  ColumnSolver(MatrixView<const T> g, const SlimOptions& options, Team& team, int thread)
      : g_(g),
        options_(options),
        team_(team),
        thread_(thread),
        rows_(simd::subtract_rows<T>()),
        row_(simd::subtract_row<T>()),
        gradient_(static_cast<std::size_t>(g.rows)),
        place_(static_cast<std::size_t>(g.rows), -1) {}

  void operator()(int64_t j, const CsrView<T>* start, SlimColumn<T>& column) {
    done_ = static_cast<double>(j) / static_cast<double>(g_.rows);
    begin(j, start);
    double violation = 0;
    int64_t sweeps = options_.max_sweeps;
    for (int round = 0; round < kMaxRounds; ++round) {
      violation = join(j);
      if (violation <= limit_ || sweeps <= 0 || team_.stopped()) break;
      sweeps -= solve(sweeps);
      update();
    }
    column.violation = scale_ > 0 ? violation / scale_ : 0;
    finish(column);
  }

 private:
  std::size_t at(int64_t i) const { return static_cast<std::size_t>(i); }

  void begin(int64_t j, const CsrView<T>* start) {
    for (int64_t i = 0; i < g_.rows; ++i) gradient_[at(i)] = static_cast<double>(g_(j, i));
    scale_ = 0;
    for (int64_t i = 0; i < g_.rows; ++i)
      if (i != j) scale_ = std::max(scale_, std::abs(gradient_[at(i)]));
    limit_ = options_.tolerance * scale_;
    active_.clear();
    weight_.clear();
    behind_.clear();
    compact_size_ = 0;
    if (!start || scale_ == 0) return;  // an item that goes with no other has no weights
    for (int64_t e = start->indptr[j]; e < start->indptr[j + 1]; ++e) {
      const int64_t i = start->indices[e];
      const double w = static_cast<double>(start->value(e));
      if (i == j || w == 0 || (options_.nonnegative && w < 0)) continue;
      place_[at(i)] = static_cast<int64_t>(active_.size());
      active_.push_back(static_cast<std::int32_t>(i));
      weight_.push_back(w);
      behind_.push_back(0);
    }
    update();
  }

  /// By how much item i misses its optimality condition, given its weight.
  double miss(double gradient, double w) const {
    const double rest = gradient - options_.l2 * w;
    if (w > 0) return std::abs(rest - options_.l1);
    if (w < 0) return std::abs(rest + options_.l1);
    return std::max(0.0, (options_.nonnegative ? rest : std::abs(rest)) - options_.l1);
  }

  /// Lets the worst of the items that are not active join them; the largest miss of all items.
  double join(int64_t j) {
    double worst = 0;
    candidates_.clear();
    for (int64_t i = 0; i < g_.rows; ++i) {
      if (i == j) continue;
      const int64_t p = place_[at(i)];
      const double m = miss(gradient_[at(i)], p < 0 ? 0.0 : weight_[at(p)]);
      worst = std::max(worst, m);
      if (p < 0 && m > limit_ && g_(i, i) > 0) candidates_.push_back({m, static_cast<std::int32_t>(i)});
    }
    const auto most = static_cast<std::size_t>(std::max(kJoin, static_cast<int64_t>(active_.size()) / 2));
    if (candidates_.size() > most) {
      std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(most), candidates_.end(),
                       [](const Candidate& a, const Candidate& b) {
                         return a.miss > b.miss || (a.miss == b.miss && a.item < b.item);
                       });
      candidates_.resize(most);
    }
    std::sort(candidates_.begin(), candidates_.end(),
              [](const Candidate& a, const Candidate& b) { return a.item < b.item; });
    for (const Candidate& c : candidates_) {
      place_[at(c.item)] = static_cast<int64_t>(active_.size());
      active_.push_back(c.item);
      weight_.push_back(0);
      behind_.push_back(0);
    }
    return worst;
  }

  /// Copies what is new of the active items' Gram matrix.
  void compact() {
    const auto size = static_cast<int64_t>(active_.size());
    if (size > capacity_) {
      const int64_t capacity = std::min(kCompact, std::max<int64_t>(128, 2 * size));
      std::vector<T> larger(at(capacity * capacity));
      for (int64_t a = 0; a < compact_size_; ++a)
        std::copy_n(small_.data() + a * capacity_, compact_size_, larger.data() + a * capacity);
      small_.swap(larger);
      capacity_ = capacity;
    }
    for (int64_t a = compact_size_; a < size; ++a) {
      const T* const from = g_.row(active_[at(a)]);
      T* const to = small_.data() + a * capacity_;
      for (int64_t b = 0; b <= a; ++b) to[b] = from[active_[at(b)]];
      for (int64_t b = 0; b < a; ++b) small_[at(b * capacity_ + a)] = to[b];
    }
    compact_size_ = size;
  }

  /// Sweeps over the active items until they hold among themselves; returns how many it took.
  int64_t solve(int64_t sweeps) {
    const auto size = static_cast<int64_t>(active_.size());
    const bool small = size <= kCompact;
    if (small) compact();
    local_.resize(active_.size());
    for (int64_t a = 0; a < size; ++a) local_[at(a)] = gradient_[at(active_[at(a)])];
    if (!small) full_ = gradient_;
    for (int64_t sweep = 1; sweep <= sweeps; ++sweep) {
      double worst = 0;
      for (int64_t a = 0; a < size; ++a) {
        const int64_t i = active_[at(a)];
        const double own = static_cast<double>(g_(i, i)), before = weight_[at(a)];
        const double z = (small ? local_[at(a)] : full_[at(i)]) + own * before;
        double now = 0;
        if (z > options_.l1)
          now = (z - options_.l1) / (own + options_.l2);
        else if (!options_.nonnegative && z < -options_.l1)
          now = (z + options_.l1) / (own + options_.l2);
        const double delta = now - before;
        if (delta == 0) continue;
        weight_[at(a)] = now;
        worst = std::max(worst, std::abs(delta) * (own + options_.l2));
        if (small)
          row_(size, delta, small_.data() + a * capacity_, local_.data());
        else
          row_(g_.rows, delta, g_.row(i), full_.data());
      }
      team_.poll(thread_, done_);
      if (worst <= kInner * limit_ || team_.stopped()) return sweep;
    }
    return sweeps;
  }

  /// Brings the gradient of all items up to date with the weights.
  void update() {
    double delta[simd::kSlimRows];
    const T* rows[simd::kSlimRows];
    int count = 0;
    const auto flush = [&] {
      if (count == simd::kSlimRows)
        rows_(g_.rows, delta, rows, gradient_.data());
      else
        for (int l = 0; l < count; ++l) row_(g_.rows, delta[l], rows[l], gradient_.data());
      count = 0;
    };
    for (std::size_t a = 0; a < active_.size(); ++a) {
      if (weight_[a] == behind_[a]) continue;
      delta[count] = weight_[a] - behind_[a];
      rows[count++] = g_.row(active_[a]);
      behind_[a] = weight_[a];
      if (count == simd::kSlimRows) flush();
    }
    flush();
  }

  void finish(SlimColumn<T>& column) {
    std::vector<std::int32_t> order;
    for (const std::int32_t i : active_)
      if (weight_[at(place_[at(i)])] != 0) order.push_back(i);
    std::sort(order.begin(), order.end());
    column.items = order;
    column.values.clear();
    for (const std::int32_t i : order) column.values.push_back(static_cast<T>(weight_[at(place_[at(i)])]));
    for (const std::int32_t i : active_) place_[at(i)] = -1;
  }

  struct Candidate {
    double miss;
    std::int32_t item;
  };

  MatrixView<const T> g_;
  SlimOptions options_;
  Team& team_;
  int thread_;
  double done_ = 0;  // share of the columns
  simd::SubtractRows<T> rows_;
  simd::SubtractRow<T> row_;
  std::vector<double> gradient_;      // (n) G_j - G w
  std::vector<int64_t> place_;        // (n) among the active items, or -1
  std::vector<std::int32_t> active_;  // in the order in which they joined
  std::vector<double> weight_;        // of the active items
  std::vector<double> behind_;        // their weights when the gradient was brought up to date
  std::vector<double> local_, full_;  // gradients while the active items are solved for
  std::vector<T> small_;              // the active items' Gram matrix, rows `capacity_` apart
  std::vector<Candidate> candidates_;
  int64_t capacity_ = 0, compact_size_ = 0;
  double scale_ = 0, limit_ = 0;
};

}  // namespace

template <class T>
void slim(MatrixView<const T> g, const SlimOptions& options, const CsrView<T>* start, SlimColumn<T>* columns,
          const Context& context) {
  if (g.rows == 0) return;
  Team team(context, static_cast<int>(std::min<int64_t>(context.num_threads, g.rows)));
  std::atomic<int64_t> next{0};
  team.run([&](int thread) {
    ColumnSolver<T> solver(g, options, team, thread);  // it polls: a column may take many sweeps
    while (!team.stopped()) {
      const int64_t j = next.fetch_add(1, std::memory_order_relaxed);
      if (j >= g.rows) return;
      solver(j, start, columns[j]);
    }
  });
}

template void slim<float>(MatrixView<const float>, const SlimOptions&, const CsrView<float>*, SlimColumn<float>*,
                          const Context&);
template void slim<double>(MatrixView<const double>, const SlimOptions&, const CsrView<double>*, SlimColumn<double>*,
                           const Context&);

}  // namespace fastlae
