#include "fastlae/product.hpp"

#include <algorithm>
#include <cstdint>

#include "large_buffer.hpp"
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

template <class T>
void transposed_product(MatrixView<const T> a, MatrixView<const T> b, MatrixView<T> c, const Context& context) {
  constexpr std::int64_t rows = 384, cols = 768, tasks = 16, part_rows = 2048;
  const std::int64_t down = (c.rows + rows - 1) / rows, across = (c.cols + cols - 1) / cols;
  if (down * across == 0) return;
  const std::int64_t parts = std::clamp<std::int64_t>(std::min(tasks / (down * across), a.rows / part_rows), 1, tasks);
  LargeBuffer<T> sums(static_cast<std::size_t>((parts - 1) * c.rows * c.cols));
  parallel_for(context, down * across * parts, 1, [&](std::int64_t task, std::int64_t, int) {
    const std::int64_t part = task % parts, tile = task / parts;
    const std::int64_t i = tile / across * rows, j = tile % across * cols;
    const std::int64_t m = std::min(rows, c.rows - i), n = std::min(cols, c.cols - j);
    const std::int64_t first = a.rows * part / parts, last = a.rows * (part + 1) / parts;
    const MatrixView<T> to =
        part == 0 ? c : MatrixView<T>{sums.data() + (part - 1) * c.rows * c.cols, c.rows, c.cols, c.cols};
    simd::gemm_kernel<T>().gemm(true, false, m, n, last - first, T(1), a.row(first) + i, a.stride, b.row(first) + j,
                                b.stride, T(0), to.row(i) + j, to.stride, simd::kFull);
  });
  for (std::int64_t p = 1; p < parts; ++p)
    for (std::int64_t i = 0; i < c.rows; ++i) {
      const T* const from = sums.data() + ((p - 1) * c.rows + i) * c.cols;
      for (std::int64_t j = 0; j < c.cols; ++j) c(i, j) += from[j];
    }
}

template void transposed_product<float>(MatrixView<const float>, MatrixView<const float>, MatrixView<float>,
                                        const Context&);
template void transposed_product<double>(MatrixView<const double>, MatrixView<const double>, MatrixView<double>,
                                         const Context&);
template void product<float>(MatrixView<const float>, MatrixView<const float>, MatrixView<float>, const Context&);
template void product<double>(MatrixView<const double>, MatrixView<const double>, MatrixView<double>, const Context&);

}  // namespace fastlae
