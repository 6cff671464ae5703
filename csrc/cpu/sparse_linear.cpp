#include "fastlae/sparse_linear.hpp"

#include <cstdint>
#include <vector>

#include "fastlae/score.hpp"

namespace fastlae {

using std::int64_t;

template <class T>
void sparse_linear(const CsrView<T>& x, MatrixView<const T> w, const T* bias, MatrixView<T> y, const Context& context) {
  score<T>(x, w, y, context);
  if (!bias) return;
  for (int64_t u = 0; u < y.rows; ++u)
    for (int64_t j = 0; j < y.cols; ++j) y(u, j) += bias[j];
}

template <class T>
void sparse_linear_backward(const CsrView<T>& x, MatrixView<const T> g, MatrixView<T> d, const Context& context) {
  // X by columns: counted, summed up, dealt out row after row, so that the rows of a column ascend.
  std::vector<int64_t> pointers(static_cast<std::size_t>(x.cols + 2), 0);
  for (int64_t e = x.indptr[0]; e < x.indptr[x.rows]; ++e) ++pointers[static_cast<std::size_t>(x.indices[e]) + 2];
  for (std::size_t i = 2; i < pointers.size(); ++i) pointers[i] += pointers[i - 1];
  std::vector<std::int32_t> rows(static_cast<std::size_t>(x.nnz()));
  std::vector<T> values(x.values ? rows.size() : 0);
  for (int64_t u = 0; u < x.rows; ++u)
    for (int64_t e = x.indptr[u]; e < x.indptr[u + 1]; ++e) {
      const auto to = static_cast<std::size_t>(pointers[static_cast<std::size_t>(x.indices[e]) + 1]++);
      rows[to] = static_cast<std::int32_t>(u);
      if (x.values) values[to] = x.values[e];
    }
  const CsrView<T> columns{x.cols, x.rows, pointers.data(), rows.data(), x.values ? values.data() : nullptr};
  score<T>(columns, g, d, context);
}

#define FASTLAE_INSTANTIATE(T)                                                                                     \
  template void sparse_linear<T>(const CsrView<T>&, MatrixView<const T>, const T*, MatrixView<T>, const Context&); \
  template void sparse_linear_backward<T>(const CsrView<T>&, MatrixView<const T>, MatrixView<T>, const Context&);
FASTLAE_INSTANTIATE(float)
FASTLAE_INSTANTIATE(double)

}  // namespace fastlae
