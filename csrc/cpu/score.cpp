#include "fastlae/score.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "parallel.hpp"
#include "tile_sums.hpp"

namespace fastlae {

using std::int64_t;

template <class Stored>
void score(const CsrView<Accumulator<Stored>>& x, MatrixView<const Stored> w, MatrixView<Accumulator<Stored>> s,
           const Context& context) {
  using T = Accumulator<Stored>;
  const bool packed = TileSums<Stored>::pays(x.nnz(), w.rows);
  const int64_t columns = TileSums<Stored>::columns(packed), tiles = (s.cols + columns - 1) / columns;
  // Tasks are (tile of columns, part of the rows), tile by tile, so that the threads share the tile's part of W; but
  // a packed tile is one thread's own, and all rows pass, unless there are fewer tiles than threads.
  const int64_t enough =
      packed ? (context.num_threads + tiles - 1) / std::max<int64_t>(1, tiles) : 4 * context.num_threads;
  const int64_t parts = std::clamp<int64_t>(s.rows / 32, 1, std::max<int64_t>(1, enough));
  std::vector<std::unique_ptr<TileSums<Stored>>> sums(static_cast<std::size_t>(std::max(1, context.num_threads)));
  parallel_for(context, tiles * parts, 1, [&](int64_t task, int64_t, int thread) {
    auto& own = sums[static_cast<std::size_t>(thread)];
    if (!own) own = std::make_unique<TileSums<Stored>>(x, w, packed);
    own->load(task / parts * columns);
    const int64_t first = s.rows * (task % parts) / parts, last = s.rows * (task % parts + 1) / parts;
    std::vector<T> tile(static_cast<std::size_t>(columns));
    for (int64_t p = 0; p < own->parts(); ++p)
      for (int64_t u = first; u < last; ++u) {
        (*own)(u, p, tile.data());
        std::copy_n(tile.data(), own->width(p), s.row(u) + own->begin(p));
      }
  });
}

template <class T>
void quadratic_diagonal(const CsrView<T>& x, SymmetricView<const T> m, double* q, const Context& context) {
  parallel_for(context, x.rows, 1, [&](int64_t first, int64_t last, int) {
    for (int64_t i = first; i < last; ++i) {
      double total = 0;
      for (int64_t e = x.indptr[i]; e < x.indptr[i + 1]; ++e) {
        const T* const row = m.row(x.indices[e]);
        double sum = 0;  // the pairs left of the diagonal count twice; indices ascend, so f lies there
        for (int64_t f = x.indptr[i]; f < e; ++f)
          sum += static_cast<double>(x.value(f)) * static_cast<double>(row[x.indices[f]]);
        const double own = static_cast<double>(x.value(e));
        total += own * (2 * sum + own * static_cast<double>(row[x.indices[e]]));
      }
      q[i] = total;
    }
  });
}

#define FASTLAE_INSTANTIATE(Stored)                                                          \
  template void score<Stored>(const CsrView<Accumulator<Stored>>&, MatrixView<const Stored>, \
                              MatrixView<Accumulator<Stored>>, const Context&);
FASTLAE_INSTANTIATE(float)
FASTLAE_INSTANTIATE(double)
FASTLAE_INSTANTIATE(Float16)
FASTLAE_INSTANTIATE(Bfloat16)
template void quadratic_diagonal<float>(const CsrView<float>&, SymmetricView<const float>, double*, const Context&);
template void quadratic_diagonal<double>(const CsrView<double>&, SymmetricView<const double>, double*, const Context&);

}  // namespace fastlae
