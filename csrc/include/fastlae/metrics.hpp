// What ranking metrics count, user by user, in one pass over recommendation lists.
#pragma once

#include <cstdint>

#include "fastlae/context.hpp"
#include "fastlae/views.hpp"

namespace fastlae {

/// Sums over the first k slots of every user's list, one column a cut-off k. With hit(r) = 1 where the item in slot r
/// (r = 1, 2, ...) is a target, and h(r) the number of hits in slots 1 .. r:
struct RankingSums {
  MatrixView<double> hits;             // (users, cutoffs) out: h(k)
  MatrixView<double> dcg;              // (users, cutoffs) out: sum of hit(r) / log2(r + 1)
  MatrixView<double> precision;        // (users, cutoffs) out: sum of hit(r) h(r) / r
  MatrixView<double> reciprocal_rank;  // (users, cutoffs) out: 1 / r of the first hit, or 0
};

/// Fills `sums` from lists and targets.
///
/// A slot of -1 is empty: a miss. An item that a list repeats is a hit in its first slot only; its later slots are
/// misses that keep their place. Each user is summed by one thread, slots ascending, so the result does not depend on
/// the number of threads. Memory: a byte for every target of one user, per thread.
void ranking_sums(MatrixView<const std::int32_t> top,  // (users, slots) items, best first
                  const CsrView<float>& held_out,      // (users, items) the targets; values are not read
                  const std::int32_t* cutoffs,         // (n_cutoffs) ascending, within 1 .. slots
                  std::int64_t n_cutoffs,              // at least 1
                  const RankingSums& sums,             // what is filled
                  const Context& context);

}  // namespace fastlae
