// A task makes some columns of Y (a panel) from some of the users (a part). It holds those columns of E and of its own
// sum close together, so that they stay in cache whatever the stride of E: with 128 columns and more the threads share
// panels among them, below that parts of the users too. The parts' sums are added to Y in their order: a thread that is
// early waits for the one before it, and then uses its memory again, whose first touch would cost more than the wait.
#include "fastlae/gram_product.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "large_buffer.hpp"
#include "parallel.hpp"
#include "simd/gram_product_rows.hpp"

namespace fastlae {

using std::int64_t;

namespace {

constexpr int64_t kTasks = 8;              // to share among threads; a part costs a pass over E and Y
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
  const auto size = static_cast<std::size_t>(n * step);
  LargeBuffer<T> memory(size * static_cast<std::size_t>(threads));
  std::vector<std::atomic<int64_t>> added(static_cast<std::size_t>(panels));  // parts of every panel that Y has
  const auto add_to_y = [&](int64_t panel, int64_t part, const T* sums) {
    for (int64_t i = 0; i < n; ++i) {
      T* const to = y.row(i) + panel * width;
      const T* const own = sums + i * step;
      const T* const more = own + width;
      if (part == 0)
        for (int64_t j = 0; j < columns(panel); ++j) to[j] = more[j];
      else
        for (int64_t j = 0; j < columns(panel); ++j) to[j] += more[j];
      if (part == parts - 1 && ridge)
        for (int64_t j = 0; j < columns(panel); ++j) to[j] += ridge[i] * own[j];
    }
  };
  Team team(context, threads);
  std::atomic<int64_t> next{0};
  team.run([&](int thread) {
    T* const own = memory.data() + size * static_cast<std::size_t>(thread);
    int64_t held = -1;  // the panel whose columns of E are there
    for (;;) {
      const int64_t task = next.fetch_add(1, std::memory_order_relaxed);
      if (task >= tasks || team.stopped()) return;
      const int64_t panel = task / parts, part = task % parts;
      for (int64_t i = 0; i < n; ++i) {
        T* const to = own + i * step;
        if (panel != held) std::copy_n(e.row(i) + panel * width, columns(panel), to);
        std::fill(to + (panel == held ? width : columns(panel)), to + step, T(0));
      }
      held = panel;
      for (int64_t u = bounds[part]; u < bounds[part + 1] && !team.stopped();) {
        const int64_t bar = x.indptr[u] + kEntriesPerPoll;
        const int64_t end = std::clamp<int64_t>(
            std::upper_bound(x.indptr + u, x.indptr + bounds[part + 1], bar) - x.indptr - 1, u + 1, bounds[part + 1]);
        add(u, end, x.indptr, x.indices, x.values, own, own + width);
        u = end;
        team.poll(thread, static_cast<double>(task) / static_cast<double>(tasks));
      }
      // Tasks are taken in their order, so the part before this one is done or on a thread that runs.
      std::atomic<int64_t>& turn = added[static_cast<std::size_t>(panel)];
      while (turn.load(std::memory_order_acquire) != part) {
        if (team.stopped()) return;
        team.poll(thread, static_cast<double>(task) / static_cast<double>(tasks));
        std::this_thread::yield();
      }
      add_to_y(panel, part, own);
      turn.store(part + 1, std::memory_order_release);
    }
  });
}

template void gram_product<float>(const CsrView<float>&, MatrixView<const float>, const float*, MatrixView<float>,
                                  const Context&);
template void gram_product<double>(const CsrView<double>&, MatrixView<const double>, const double*, MatrixView<double>,
                                   const Context&);

}  // namespace fastlae
