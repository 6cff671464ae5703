#include "fastlae/product.hpp"

#include <algorithm>
#include <cstdint>

#include "parallel.hpp"
#include "simd/gemm.hpp"

namespace fastlae {

template <class T>
void product(MatrixView<const T> a, MatrixView<const T> b, MatrixView<T> c, const Context& context) {
  constexpr std::int64_t rows = 384, cols = 768;  // of C per task: enough to amortise the packing of A and B
  const std::int64_t down = (c.rows + rows - 1) / rows, across = (c.cols + cols - 1) / cols;
  parallel_for(context, down * across, 1, [&](std::int64_t task, std::int64_t, int) {
    const std::int64_t i = task / across * rows, j = task % across * cols;
    const std::int64_t m = std::min(rows, c.rows - i), n = std::min(cols, c.cols - j);
    simd::gemm_kernel<T>().gemm(false, false, m, n, a.cols, T(1), a.row(i), a.stride, b.data + j, b.stride, T(0),
                                c.row(i) + j, c.stride, simd::kFull);
  });
}

template void product<float>(MatrixView<const float>, MatrixView<const float>, MatrixView<float>, const Context&);
template void product<double>(MatrixView<const double>, MatrixView<const double>, MatrixView<double>, const Context&);

}  // namespace fastlae
