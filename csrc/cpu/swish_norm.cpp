#include "fastlae/swish_norm.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "parallel.hpp"
#include "simd/swish_norm_rows.hpp"

namespace fastlae {

using std::int64_t;

namespace {

constexpr int64_t kRows = 32;  // a task's; a task has sums of its own for the gradients of weight and bias

template <class View>
auto row_or_null(const View& view, int64_t i) {
  return view.rows > 0 ? view.row(i) : nullptr;
}

}  // namespace

template <class T>
void swish_norm(MatrixView<const T> x, MatrixView<const T> residual, const T* weight, const T* bias, double eps,
                MatrixView<T> y, MatrixView<T> total, T* mean, T* scale, const Context& context) {
  const auto& kernel = simd::swish_norm_kernel<T>();
  parallel_for(context, x.rows, kRows, [&](int64_t begin, int64_t end, int) {
    for (int64_t u = begin; u < end; ++u)
      kernel.forward(x.cols, x.row(u), row_or_null(residual, u), weight, bias, static_cast<T>(eps), y.row(u),
                     row_or_null(total, u), mean + u, scale + u);
  });
}

template <class T>
void swish_norm_backward(MatrixView<const T> dy, MatrixView<const T> dtotal, MatrixView<const T> x,
                         MatrixView<const T> residual, const T* weight, const T* mean, const T* scale, MatrixView<T> dx,
                         MatrixView<T> dresidual, T* dweight, T* dbias, const Context& context) {
  const auto& kernel = simd::swish_norm_kernel<T>();
  const int64_t n = x.cols, tasks = (x.rows + kRows - 1) / kRows;
  std::vector<T> sums(static_cast<std::size_t>(2 * n * tasks), T(0));  // weight's and bias's of every task
  std::vector<std::vector<T>> memory(static_cast<std::size_t>(std::max(1, context.num_threads)));
  parallel_for(context, x.rows, kRows, [&](int64_t begin, int64_t end, int thread) {
    auto& scratch = memory[static_cast<std::size_t>(thread)];
    scratch.resize(static_cast<std::size_t>(2 * n));
    T* const own = sums.data() + begin / kRows * 2 * n;
    for (int64_t u = begin; u < end; ++u)
      kernel.backward(n, dy.row(u), row_or_null(dtotal, u), x.row(u), row_or_null(residual, u), weight, mean[u],
                      scale[u], dx.row(u), row_or_null(dresidual, u), own, own + n, scratch.data());
  });
  for (int64_t j = 0; j < n; ++j) {
    T of_weight = 0, of_bias = 0;
    for (int64_t task = 0; task < tasks; ++task) {
      of_weight += sums[static_cast<std::size_t>(2 * n * task + j)];
      of_bias += sums[static_cast<std::size_t>(2 * n * task + n + j)];
    }
    dweight[j] = of_weight;
    dbias[j] = of_bias;
  }
}

#define FASTLAE_INSTANTIATE(T)                                                                                     \
  template void swish_norm<T>(MatrixView<const T>, MatrixView<const T>, const T*, const T*, double, MatrixView<T>, \
                              MatrixView<T>, T*, T*, const Context&);                                              \
  template void swish_norm_backward<T>(MatrixView<const T>, MatrixView<const T>, MatrixView<const T>,              \
                                       MatrixView<const T>, const T*, const T*, const T*, MatrixView<T>,           \
                                       MatrixView<T>, T*, T*, const Context&);
FASTLAE_INSTANTIATE(float)
FASTLAE_INSTANTIATE(double)

}  // namespace fastlae
