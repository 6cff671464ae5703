// A task makes some columns of Y (a panel) from some of the users (a part). It holds those columns of E and of its own
// sum close together, so that they stay in cache whatever the stride of E: with 128 columns and more the threads share
// panels among them, below that parts of the users too. The parts' sums are added in their order.
#include "fastlae/gram_product.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "large_buffer.hpp"
#include "parallel.hpp"
#include "simd/gram_product_rows.hpp"

namespace fastlae {

using std::int64_t;

namespace {

constexpr int64_t kTasks = 8;  // to share among threads; a part costs the first touch of its memory, some 5 ms
constexpr int64_t kPartEntries = 1 << 18;  // at least so many interactions are a part
constexpr int64_t kEntriesPerPoll = 1 << 17;

/// Users by parts with about equally many entries, parts + 1 bounds.
template <class T>
std::vector<int64_t> user_parts(const CsrView<T>& x, int64_t parts) {
  std::vector<int64_t> bounds(static_cast<std::size_t>(parts + 1), x.rows);
  bounds[0] = 0;
  for (int64_t p = 1; p < parts; ++p)
    bounds[p] = std::lower_bound(x.indptr, x.indptr + x.rows, x.nnz() / parts * p) - x.indptr;
  return bounds;
}

}  // namespace

template <class T>
void gram_product(const CsrView<T>& x, MatrixView<const T> e, const T* ridge, MatrixView<T> y, const Context& context) {
  constexpr int64_t width = simd::kProductRow / static_cast<int64_t>(sizeof(T)), step = 2 * width;
  const int64_t n = x.cols, panels = (e.cols + width - 1) / width;
  if (n == 0 || panels == 0) return;
  const int64_t parts = std::clamp<int64_t>(std::min(kTasks / panels, x.nnz() / kPartEntries), 1, kTasks);
  const int64_t tasks = panels * parts;
  const std::vector<int64_t> bounds = user_parts(x, parts);
  const auto columns = [&](int64_t panel) { return std::min(width, e.cols - panel * width); };
  const simd::GramProductRows<T> add = simd::gram_product_rows<T>();
  const int threads = static_cast<int>(std::clamp<int64_t>(tasks, 1, std::max(1, context.num_threads)));
  // Where a panel's users are in one part it is written out at once, and its memory used again; else the sums wait.
  const auto size = static_cast<std::size_t>(n * step);
  LargeBuffer<T> memory(size * static_cast<std::size_t>(parts == 1 ? threads : tasks));
  const auto write = [&](int64_t panel, int64_t first, int64_t last, const T* sums) {
    for (int64_t i = first; i < last; ++i) {
      T* const to = y.row(i) + panel * width;
      const T* const own = sums + i * step;
      for (int64_t j = 0; j < columns(panel); ++j) {
        T total = own[width + j];
        for (int64_t p = 1; p < parts; ++p) total += own[p * static_cast<int64_t>(size) + width + j];
        to[j] = ridge ? total + ridge[i] * own[j] : total;
      }
    }
  };
  Team team(context, threads);
  std::atomic<int64_t> next{0};
  team.run([&](int thread) {
    for (;;) {
      const int64_t task = next.fetch_add(1, std::memory_order_relaxed);
      if (task >= tasks || team.stopped()) return;
      const int64_t panel = task / parts, part = task % parts;
      T* const own = memory.data() + size * static_cast<std::size_t>(parts == 1 ? thread : task);
      for (int64_t i = 0; i < n; ++i) {
        T* const to = own + i * step;
        std::copy_n(e.row(i) + panel * width, columns(panel), to);
        std::fill(to + columns(panel), to + step, T(0));
      }
      for (int64_t u = bounds[part]; u < bounds[part + 1] && !team.stopped();) {
        const int64_t bar = x.indptr[u] + kEntriesPerPoll;
        const int64_t end = std::clamp<int64_t>(
            std::upper_bound(x.indptr + u, x.indptr + bounds[part + 1], bar) - x.indptr - 1, u + 1, bounds[part + 1]);
        add(u, end, x.indptr, x.indices, x.values, own, own + width);
        u = end;
        team.poll(thread, static_cast<double>(task) / static_cast<double>(tasks));
      }
      if (parts == 1) write(panel, 0, n, own);
    }
  });
  if (parts == 1) return;
  parallel_for(context, n, 1024, [&](int64_t first, int64_t last, int) {
    for (int64_t panel = 0; panel < panels; ++panel)
      write(panel, first, last, memory.data() + size * static_cast<std::size_t>(panel * parts));
  });
}

template void gram_product<float>(const CsrView<float>&, MatrixView<const float>, const float*, MatrixView<float>,
                                  const Context&);
template void gram_product<double>(const CsrView<double>&, MatrixView<const double>, const double*, MatrixView<double>,
                                   const Context&);

}  // namespace fastlae
