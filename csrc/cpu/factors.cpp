#include "fastlae/factors.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "large_buffer.hpp"
#include "parallel.hpp"
#include "selector.hpp"
#include "simd/gemm.hpp"

namespace fastlae {

namespace {

// Scores that a thread makes at a time: the items are packed once for the users of a block, the users once for the
// items of a tile, and the scores stay in the second-level cache or near it.
constexpr int64_t kUsers = 512, kItems = 768;
constexpr int64_t kFewUsers = 16;  // then tiles are smaller, so that all threads have some

/// P[u0 : u0 + users] E[j : j + width]^T + bias into `out`.
template <class T>
void product_tile(MatrixView<const T> p, MatrixView<const T> e, const T* bias, int64_t u0, int64_t users, int64_t j,
                  int64_t width, T* out, int64_t stride) {
  simd::gemm_kernel<T>().gemm(false, true, users, width, p.cols, T(1), p.row(u0), p.stride, e.row(j), e.stride, T(0),
                              out, stride, simd::kFull);
  if (!bias) return;
  for (int64_t u = 0; u < users; ++u)
    for (int64_t l = 0; l < width; ++l) out[u * stride + l] += bias[j + l];
}

}  // namespace

template <class T>
void recommend_factors(MatrixView<const T> p, MatrixView<const T> e, const T* bias, const Hidden& hidden,
                       MatrixView<std::int32_t> items, MatrixView<float> scores, const Context& context) {
  const simd::Above<T> above = simd::above<T>();
  const int64_t k = items.cols, n = e.rows, width = p.rows <= kFewUsers ? kItems / 4 : kItems;
  const int64_t tiles = (n + width - 1) / width;
  const int threads = static_cast<int>(std::clamp<int64_t>(tiles, 1, context.num_threads));
  const int64_t block = std::clamp<int64_t>(kCandidateBytes / Selectors<T>::bytes(threads, k, n), 64, kUsers);
  for (int64_t first = 0; first < p.rows; first += block) {
    const int64_t users = std::min(block, p.rows - first);
    Selectors<T> selectors(users, threads, k, n);
    std::vector<int64_t> places(static_cast<std::size_t>(users * threads));  // in the users' lists of hidden items
    for (int64_t s = 0; s < users * threads; ++s)
      places[static_cast<std::size_t>(s)] = hidden_begin(hidden, first + s % users);
    std::vector<LargeBuffer<T>> memory(static_cast<std::size_t>(threads));
    parallel_for(context, tiles, 1, [&](int64_t tile, int64_t, int thread) {
      auto& own = memory[static_cast<std::size_t>(thread)];
      if (own.size() == 0) own = LargeBuffer<T>(static_cast<std::size_t>(users * width));
      const int64_t j = tile * width, here = std::min(width, n - j);
      product_tile(p, e, bias, first, users, j, here, own.data(), width);
      Selector<T>* const selector = selectors.of_thread(thread);
      for (int64_t u = 0; u < users; ++u) {
        T* const row = own.data() + u * width;
        hide(hidden, first + u, j, here, places[static_cast<std::size_t>(thread * users + u)], row);
        selector[u].offer(above, row, here, j);
      }
    });
    parallel_for(context, users, 32, [&](int64_t begin, int64_t end, int) {
      for (int64_t u = begin; u < end; ++u) selectors.finish(u, items.row(first + u), scores.row(first + u));
    });
  }
}

template <class T>
void score_factors(MatrixView<const T> p, MatrixView<const T> e, const T* bias, MatrixView<T> s,
                   const Context& context) {
  const int64_t down = (s.rows + kUsers - 1) / kUsers, across = (s.cols + kItems - 1) / kItems;
  parallel_for(context, down * across, 1, [&](int64_t task, int64_t, int) {
    const int64_t u = task / across * kUsers, j = task % across * kItems;
    product_tile(p, e, bias, u, std::min(kUsers, s.rows - u), j, std::min(kItems, s.cols - j), s.row(u) + j, s.stride);
  });
}

#define FASTLAE_INSTANTIATE(T)                                                                          \
  template void recommend_factors<T>(MatrixView<const T>, MatrixView<const T>, const T*, const Hidden&, \
                                     MatrixView<std::int32_t>, MatrixView<float>, const Context&);      \
  template void score_factors<T>(MatrixView<const T>, MatrixView<const T>, const T*, MatrixView<T>, const Context&);
FASTLAE_INSTANTIATE(float)
FASTLAE_INSTANTIATE(double)

}  // namespace fastlae
