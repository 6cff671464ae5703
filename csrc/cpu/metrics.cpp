#include "fastlae/metrics.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "parallel.hpp"

namespace fastlae {

namespace {

using std::int64_t;

/// Marks the targets of one user that a list has hit so far.
class Targets {
 public:
  void reset(const CsrView<float>& held_out, int64_t user) {
    first_ = held_out.indices + held_out.indptr[user];
    last_ = held_out.indices + held_out.indptr[user + 1];
    taken_.assign(static_cast<std::size_t>(last_ - first_), 0);
  }

  /// Whether `item` is a target that was not hit before.
  bool take(std::int32_t item) {
    const std::int32_t* at = std::lower_bound(first_, last_, item);
    if (at == last_ || *at != item) return false;
    unsigned char& taken = taken_[static_cast<std::size_t>(at - first_)];
    if (taken) return false;
    taken = 1;
    return true;
  }

 private:
  const std::int32_t* first_ = nullptr;
  const std::int32_t* last_ = nullptr;
  std::vector<unsigned char> taken_;
};

}  // namespace

void ranking_sums(MatrixView<const std::int32_t> top, const CsrView<float>& held_out, const std::int32_t* cutoffs,
                  int64_t n_cutoffs, const RankingSums& sums, const Context& context) {
  std::vector<double> discount(static_cast<std::size_t>(cutoffs[n_cutoffs - 1]));
  for (std::size_t r = 0; r < discount.size(); ++r) discount[r] = 1.0 / std::log2(static_cast<double>(r + 2));
  // 256 users: some ten thousand searches, long beside the hand-over of a chunk.
  parallel_for(context, top.rows, 256, [&](int64_t begin, int64_t end, int) {
    Targets targets;
    for (int64_t u = begin; u < end; ++u) {
      targets.reset(held_out, u);
      double hits = 0, dcg = 0, precision = 0, reciprocal_rank = 0;
      int64_t slot = 0;
      for (int64_t c = 0; c < n_cutoffs; ++c) {
        for (; slot < cutoffs[c]; ++slot) {
          if (!targets.take(top(u, slot))) continue;
          const double rank = static_cast<double>(slot + 1);
          if (hits == 0) reciprocal_rank = 1.0 / rank;
          hits += 1;
          dcg += discount[static_cast<std::size_t>(slot)];
          precision += hits / rank;
        }
        sums.hits(u, c) = hits;
        sums.dcg(u, c) = dcg;
        sums.precision(u, c) = precision;
        sums.reciprocal_rank(u, c) = reciprocal_rank;
      }
    }
  });
}

}  // namespace fastlae
