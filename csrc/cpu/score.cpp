#include "fastlae/score.hpp"

#include <algorithm>
#include <cstdint>

#include "parallel.hpp"
#include "simd/score_tile.hpp"

namespace fastlae {

using simd::kScoreTile;
using std::int64_t;

template <class T>
void score(const CsrView<T>& x, MatrixView<const T> w, MatrixView<T> s, const Context& context) {
  const simd::ScoreTile<T> tile = simd::score_tile<T>();
  // Tasks are (tile of columns, part of the rows), tile by tile, so that the threads share the tile's part of W.
  const int64_t parts = std::clamp<int64_t>(s.rows / 32, 1, 4 * context.num_threads);
  const int64_t tiles = (s.cols + kScoreTile - 1) / kScoreTile;
  parallel_for(context, tiles * parts, 1, [&](int64_t task, int64_t, int) {
    const int64_t j = task / parts * kScoreTile, part = task % parts;
    for (int64_t u = s.rows * part / parts; u < s.rows * (part + 1) / parts; ++u) {
      const int64_t begin = x.indptr[u];
      tile(x.indptr[u + 1] - begin, x.indices + begin, x.values ? x.values + begin : nullptr, w.data + j, w.stride,
           std::min(kScoreTile, s.cols - j), s.row(u) + j);
    }
  });
}

template <class T>
void quadratic_diagonal(const CsrView<T>& x, SymmetricView<const T> m, double* q, const Context& context) {
  parallel_for(context, x.rows, 8, [&](int64_t first, int64_t last, int) {
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

template void score<float>(const CsrView<float>&, MatrixView<const float>, MatrixView<float>, const Context&);
template void score<double>(const CsrView<double>&, MatrixView<const double>, MatrixView<double>, const Context&);
template void quadratic_diagonal<float>(const CsrView<float>&, SymmetricView<const float>, double*, const Context&);
template void quadratic_diagonal<double>(const CsrView<double>&, SymmetricView<const double>, double*, const Context&);

}  // namespace fastlae
