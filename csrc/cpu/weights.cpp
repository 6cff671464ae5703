#include "fastlae/weights.hpp"

#include <algorithm>
#include <cstdint>

#include "fastlae/product.hpp"
#include "parallel.hpp"

namespace fastlae {

using std::int64_t;

template <class T>
void diagonal_weights(MatrixView<const T> c, const double* alpha, const double* beta, const double* row_scale,
                      MatrixView<T> w, const Context& context) {
  parallel_for(context, c.rows, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const double scale = row_scale ? row_scale[i] : 1.0;
      const double diagonal = alpha[i] + static_cast<double>(c(i, i)) * beta[i];
      const T* const from = c.row(i);
      T* const to = w.row(i);
      for (int64_t j = 0; j < c.cols; ++j) to[j] = static_cast<T>(scale * (static_cast<double>(from[j]) * beta[j]));
      to[i] = static_cast<T>(scale * diagonal);  // in double: alpha and C beta nearly cancel where it is small
    }
  });
}

template <class T>
void miller_update(MatrixView<const T> h0_inverse, MatrixView<const T> v, MatrixView<const T> e1,
                   MatrixView<const T> e2, MatrixView<T> x, MatrixView<T> work, const Context& context) {
  product<T>({h0_inverse}, {v}, x, context);      // columns r_i
  product<T>({h0_inverse}, {e1}, work, context);  // columns w_i
  const int64_t n = x.rows;
  constexpr int64_t width = 32;
  parallel_for(context, (n + width - 1) / width, 1, [&](int64_t block, int64_t, int) {
    const int64_t first = block * width, count = std::min(width, n - first);
    double e2_r[width] = {}, e2_w[width] = {}, e2_h[width] = {};
    for (int64_t k = 0; k < n; ++k)
      for (int64_t c = 0; c < count; ++c) {
        const int64_t i = first + c;
        const double e = k == i ? 0.0 : static_cast<double>(e2(k, i));
        e2_r[c] += e * static_cast<double>(x(k, i));
        e2_w[c] += e * static_cast<double>(work(k, i));
        e2_h[c] += e * static_cast<double>(h0_inverse(k, i));
      }
    // s = r - from_r w and t = h - from_h w undo E1; x = s - from_t t undoes E2.
    double from_r[width], from_h[width], from_t[width];
    for (int64_t c = 0; c < count; ++c) {
      const int64_t i = first + c;
      const double pivot = 1.0 + static_cast<double>(work(i, i));
      from_r[c] = static_cast<double>(x(i, i)) / pivot;
      from_h[c] = static_cast<double>(h0_inverse(i, i)) / pivot;
      from_t[c] = (e2_r[c] - from_r[c] * e2_w[c]) / (1.0 + e2_h[c] - from_h[c] * e2_w[c]);
    }
    for (int64_t k = 0; k < n; ++k)
      for (int64_t c = 0; c < count; ++c) {
        const int64_t i = first + c;
        const double w = static_cast<double>(work(k, i));
        const double t = static_cast<double>(h0_inverse(k, i)) - from_h[c] * w;
        x(k, i) = static_cast<T>(static_cast<double>(x(k, i)) - from_r[c] * w - from_t[c] * t);
      }
  });
}

template void diagonal_weights<float>(MatrixView<const float>, const double*, const double*, const double*,
                                      MatrixView<float>, const Context&);
template void diagonal_weights<double>(MatrixView<const double>, const double*, const double*, const double*,
                                       MatrixView<double>, const Context&);
template void miller_update<float>(MatrixView<const float>, MatrixView<const float>, MatrixView<const float>,
                                   MatrixView<const float>, MatrixView<float>, MatrixView<float>, const Context&);
template void miller_update<double>(MatrixView<const double>, MatrixView<const double>, MatrixView<const double>,
                                    MatrixView<const double>, MatrixView<double>, MatrixView<double>, const Context&);

}  // namespace fastlae
