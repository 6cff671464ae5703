#include "fastlae/swish_norm.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "parallel.hpp"
#include "simd/swish_norm_rows.hpp"

namespace fastlae {

using std::int64_t;

namespace {

constexpr int64_t kRows = 32;  // a task's; a task has sums of its own for the gradients of weight and biases

template <class View>
auto row_or_null(const View& view, int64_t i) {
  return view.rows > 0 ? view.row(i) : nullptr;
}

}  // namespace

template <class T>
void swish_norm(MatrixView<const T> x, const T* layer_bias, MatrixView<const T> residual, const T* weight,
                const T* bias, double eps, MatrixView<T> y, MatrixView<T> total, T* mean, T* scale,
                const Context& context) {
  const auto& kernel = simd::swish_norm_kernel<T>();
  parallel_for(context, x.rows, kRows, [&](int64_t begin, int64_t end, int) {
    for (int64_t u = begin; u < end; ++u)
      kernel.forward(x.cols, x.row(u), layer_bias, row_or_null(residual, u), weight, bias, static_cast<T>(eps),
                     y.row(u), row_or_null(total, u), mean + u, scale + u);
  });
}

template <class T>
void swish_norm_backward(MatrixView<const T> dy, MatrixView<const T> dtotal, MatrixView<const T> x, const T* layer_bias,
                         MatrixView<const T> residual, const T* weight, const T* mean, const T* scale, MatrixView<T> dx,
                         MatrixView<T> dresidual, T* dweight, T* dbias, T* dlayer_bias, const Context& context) {
  const auto& kernel = simd::swish_norm_kernel<T>();
  const int64_t n = x.cols, tasks = (x.rows + kRows - 1) / kRows;
  std::vector<T> sums(static_cast<std::size_t>(3 * n * tasks), T(0));
  std::vector<std::vector<T>> memory(static_cast<std::size_t>(std::max(1, context.num_threads)));
  parallel_for(context, x.rows, kRows, [&](int64_t begin, int64_t end, int thread) {
    auto& scratch = memory[static_cast<std::size_t>(thread)];
    scratch.resize(static_cast<std::size_t>(2 * n));
    T* const own = sums.data() + begin / kRows * 3 * n;
    for (int64_t u = begin; u < end; ++u)
      kernel.backward(n, dy.row(u), row_or_null(dtotal, u), x.row(u), layer_bias, row_or_null(residual, u), weight,
                      mean[u], scale[u], dx.row(u), row_or_null(dresidual, u), own, own + n,
                      dlayer_bias ? own + 2 * n : nullptr, scratch.data());
  });
  T* const out[3] = {dweight, dbias, dlayer_bias};
  for (int64_t part = 0; part < (dlayer_bias ? 3 : 2); ++part) {
    std::fill_n(out[part], n, T(0));
    for (int64_t task = 0; task < tasks; ++task) {
      const T* const own = sums.data() + (3 * task + part) * n;
      for (int64_t j = 0; j < n; ++j) out[part][j] += own[j];
    }
  }
}

#define FASTLAE_INSTANTIATE(T)                                                                                  \
  template void swish_norm<T>(MatrixView<const T>, const T*, MatrixView<const T>, const T*, const T*, double,   \
                              MatrixView<T>, MatrixView<T>, T*, T*, const Context&);                            \
  template void swish_norm_backward<T>(MatrixView<const T>, MatrixView<const T>, MatrixView<const T>, const T*, \
                                       MatrixView<const T>, const T*, const T*, const T*, MatrixView<T>,        \
                                       MatrixView<T>, T*, T*, T*, const Context&);
FASTLAE_INSTANTIATE(float)
FASTLAE_INSTANTIATE(double)

}  // namespace fastlae
