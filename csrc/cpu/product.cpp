#include "fastlae/product.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "large_buffer.hpp"
#include "parallel.hpp"
#include "simd/gemm.hpp"

namespace fastlae {

namespace {

// Blocks of op(B), packed once for all threads, and of op(A), packed by the thread that multiplies it.
constexpr std::int64_t kDepth = 640, kCols = 2048, kRows = 96, kPanels = 8;

/// A size split into as few even pieces of at most `most` as it takes, each a multiple of `step` but the last.
std::int64_t even_piece(std::int64_t size, std::int64_t most, std::int64_t step) {
  const std::int64_t pieces = (size + most - 1) / most, piece = (size + pieces - 1) / pieces;
  return (piece + step - 1) / step * step;
}

}  // namespace

template <class T>
void product(Operand<T> a, Operand<T> b, MatrixView<T> c, const Context& context) {
  const auto& kernel = simd::gemm_kernel<T>();
  const std::int64_t m = c.rows, n = c.cols, depth = a.transposed ? a.matrix.rows : a.matrix.cols;
  if (m == 0 || n == 0) return;
  if (depth == 0) {
    for (std::int64_t i = 0; i < m; ++i) std::fill_n(c.row(i), n, T(0));
    return;
  }
  // How far it is from one line (row of op(A), column of op(B)) to the next, and along it.
  const auto across = [](const Operand<T>& o, bool rows) { return o.transposed == rows ? 1 : o.matrix.stride; };
  const std::int64_t a_line = across(a, true), a_step = across(a, false);
  const std::int64_t b_line = across(b, false), b_step = across(b, true);
  const std::int64_t lines = kernel.b_lines, deep = even_piece(depth, kDepth, 1), wide = even_piece(n, kCols, lines);
  const std::int64_t high = even_piece(m, kRows, kernel.a_lines), down = (m + high - 1) / high;
  LargeBuffer<T> packed(static_cast<std::size_t>((wide + lines) * deep));
  std::vector<LargeBuffer<T>> memory(static_cast<std::size_t>(std::max(1, context.num_threads)));
  for (std::int64_t j = 0; j < n; j += wide)
    for (std::int64_t l = 0; l < depth; l += deep) {
      const std::int64_t width = std::min(wide, n - j), thick = std::min(deep, depth - l);
      const std::int64_t panels = (width + lines - 1) / lines;
      parallel_for(context, panels, kPanels, [&](std::int64_t first, std::int64_t last, int) {
        const std::int64_t begin = first * lines, end = std::min(width, last * lines);
        kernel.pack_b(end - begin, thick, b.matrix.data + (j + begin) * b_line + l * b_step, b_line, b_step,
                      packed.data() + begin * thick);
      });
      // Where there are fewer blocks of rows than threads, they share the columns too.
      const std::int64_t groups = std::clamp<std::int64_t>(2 * context.num_threads / down, 1, panels / kPanels + 1);
      const std::int64_t share = (panels + groups - 1) / groups;
      parallel_for(context, down * groups, 1, [&](std::int64_t task, std::int64_t, int thread) {
        auto& own = memory[static_cast<std::size_t>(thread)];
        if (own.size() == 0) own = LargeBuffer<T>(static_cast<std::size_t>((high + kernel.a_lines) * deep));
        const std::int64_t i = task / groups * high, rows = std::min(high, m - i);
        const std::int64_t begin = task % groups * share * lines, end = std::min(width, begin + share * lines);
        if (begin >= end) return;
        kernel.pack_a(rows, thick, a.matrix.data + i * a_line + l * a_step, a_line, a_step, own.data());
        kernel.multiply_packed(rows, end - begin, thick, own.data(), packed.data() + begin * thick, T(1), T(l > 0),
                               c.row(i) + j + begin, c.stride, simd::kFull, {});
      });
    }
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
template void product<float>(Operand<float>, Operand<float>, MatrixView<float>, const Context&);
template void product<double>(Operand<double>, Operand<double>, MatrixView<double>, const Context&);

}  // namespace fastlae
