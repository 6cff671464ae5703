#include "fastlae/packed.hpp"

#include <algorithm>
#include <cstdint>

#include "parallel.hpp"

namespace fastlae {

using std::int64_t;

template <class T>
void symmetric_columns(SymmetricView<const T> a, const int64_t* columns, MatrixView<T> out, const Context& context) {
  // A square of `side` rows by `side` columns stays in cache, where what lies beyond the diagonal is read by rows of A
  // and written by columns.
  constexpr int64_t side = 64;
  parallel_for(context, (a.n + side - 1) / side, 1, [&](int64_t block, int64_t, int) {
    const int64_t i0 = block * side, i1 = std::min(a.n, i0 + side);
    for (int64_t k0 = 0; k0 < out.cols; k0 += side) {
      const int64_t k1 = std::min(out.cols, k0 + side);
      for (int64_t k = k0; k < k1; ++k) {
        const int64_t j = columns[k];
        if (j < i1) continue;  // at or left of the diagonal for some rows of the block: below
        const T* const row = a.row(j);
        for (int64_t i = i0; i < i1; ++i) out(i, k) = row[i];
      }
      for (int64_t i = i0; i < i1; ++i) {
        const T* const row = a.row(i);
        for (int64_t k = k0; k < k1; ++k) {
          const int64_t j = columns[k];
          if (j < i1) out(i, k) = j <= i ? row[j] : a.row(j)[i];
        }
      }
    }
  });
}

template void symmetric_columns<float>(SymmetricView<const float>, const int64_t*, MatrixView<float>, const Context&);
template void symmetric_columns<double>(SymmetricView<const double>, const int64_t*, MatrixView<double>,
                                        const Context&);

}  // namespace fastlae
