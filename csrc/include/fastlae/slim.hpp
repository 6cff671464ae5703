// SLIM (Ning and Karypis 2011): a sparse regression of every item on the others, by coordinate descent.
#pragma once

#include <cstdint>
#include <vector>

#include "fastlae/context.hpp"
#include "fastlae/views.hpp"

namespace fastlae {

struct SlimOptions {
  double l1 = 0;
  double l2 = 0;
  bool nonnegative = true;
  double tolerance = 1e-4;         // of the optimality conditions, as a share of the column's largest |G_ij|, i != j
  std::int64_t max_sweeps = 1000;  // over the active set, per column
};

/// A column of W: its non-zero weights by ascending item, and by how much it misses the optimality conditions.
template <class T>
struct SlimColumn {
  std::vector<std::int32_t> items;
  std::vector<T> values;
  double violation = 0;
};

/// Column j of W minimises (1/2) w^T G w - G_j^T w + (l2/2) ||w||^2 + l1 ||w||_1, w_j = 0, w >= 0 if `nonnegative`: the
/// elastic net of column j of X on the others, given G = X^T X alone. Columns do not depend on the number of threads.
template <class T>
void slim(MatrixView<const T> g,  // (n, n), symmetric
          const SlimOptions& options,
          const CsrView<T>* start,  // (n, n) columns of W to begin with, as rows; or null
          SlimColumn<T>* columns,   // (n) out
          const Context& context);

}  // namespace fastlae
