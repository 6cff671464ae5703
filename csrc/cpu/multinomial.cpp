#include "fastlae/multinomial.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "large_buffer.hpp"
#include "parallel.hpp"
#include "simd/gemm.hpp"
#include "simd/softmax_rows.hpp"

namespace fastlae {

using std::int64_t;

namespace {

constexpr int64_t kPiece = 4096;  // scores of a row between two looks at the maximum: in the first-level cache

// Scores z W^T that a thread makes at a time: they stay in the second-level cache between the products.
constexpr int64_t kRows = 256, kItems = 384;
constexpr int64_t kTasks = 16,
                  kPartItems = 2048;  // parts of the items, to share among threads; at least so many in one

/// Sums of exponentials relative to a maximum that grows.
template <class T>
struct Mass {
  T best = -std::numeric_limits<T>::infinity();
  double sum = 0;

  /// Room for scores up to `value`; the factor by which what was summed before shrinks.
  T raise(T value) {
    if (!(value > best)) return T(1);
    const T shrink = static_cast<T>(std::exp(static_cast<double>(best) - static_cast<double>(value)));
    best = value;
    sum *= static_cast<double>(shrink);
    return shrink;
  }
  /// What is taken off scores before their exponentials; no score above -infinity leaves 0.
  T shift() const { return best > -std::numeric_limits<T>::infinity() ? best : T(0); }
  double log_sum() const { return static_cast<double>(shift()) + std::log(sum); }
};

template <class T>
double row_total(const CsrView<T>& x, int64_t u) {
  if (!x.values) return static_cast<double>(x.indptr[u + 1] - x.indptr[u]);
  double total = 0;
  for (int64_t e = x.indptr[u]; e < x.indptr[u + 1]; ++e) total += static_cast<double>(x.values[e]);
  return total;
}

}  // namespace

template <class T>
void multinomial_nll(MatrixView<const T> z, const CsrView<T>& x, T* loss, T* lse, const Context& context) {
  const auto& rows = simd::softmax_kernel<T>();
  parallel_for(context, z.rows, 1, [&](int64_t u, int64_t, int) {
    const T* const scores = z.row(u);
    Mass<T> mass;
    for (int64_t j = 0; j < z.cols; j += kPiece) {
      const int64_t width = std::min(kPiece, z.cols - j);
      mass.raise(rows.max(width, scores + j));
      mass.sum += static_cast<double>(rows.sum_exp(width, scores + j, mass.shift()));
    }
    const double log_sum = mass.log_sum(), total = row_total(x, u);
    double explained = 0;
    for (int64_t e = x.indptr[u]; e < x.indptr[u + 1]; ++e)
      explained += static_cast<double>(x.value(e)) * static_cast<double>(scores[x.indices[e]]);
    lse[u] = static_cast<T>(log_sum);
    loss[u] = static_cast<T>((total == 0 ? 0.0 : total * log_sum) - explained);
  });
}

template <class T>
void multinomial_nll_backward(const T* grad, const T* lse, MatrixView<const T> z, const CsrView<T>& x, MatrixView<T> dz,
                              const Context& context) {
  const auto& rows = simd::softmax_kernel<T>();
  parallel_for(context, z.rows, 1, [&](int64_t u, int64_t, int) {
    T* const out = dz.row(u);
    const T scale = static_cast<T>(static_cast<double>(grad[u]) * row_total(x, u));
    rows.scaled_exp(z.cols, z.row(u), nullptr, lse[u], scale, out);
    for (int64_t e = x.indptr[u]; e < x.indptr[u + 1]; ++e) out[x.indices[e]] -= grad[u] * x.value(e);
  });
}

template <class T>
void softmax_mean(MatrixView<const T> z, MatrixView<const T> w, const T* bias, T* lse, MatrixView<T> mean,
                  const Context& context) {
  const auto& rows = simd::softmax_kernel<T>();
  const auto& product = simd::gemm_kernel<T>();
  const bool wanted = mean.rows > 0;
  const int64_t down = (z.rows + kRows - 1) / kRows;
  const int64_t parts =
      std::clamp<int64_t>(std::min(kTasks / std::max<int64_t>(1, down), w.rows / kPartItems), 1, kTasks);
  // Of each part of the items: maximum and sum of every row, and if wanted the rows of W weighted by exponentials.
  std::vector<Mass<T>> masses(static_cast<std::size_t>(parts * z.rows));
  LargeBuffer<T> sums(wanted ? static_cast<std::size_t>(parts * z.rows * z.cols) : 0);
  std::vector<LargeBuffer<T>> memory(static_cast<std::size_t>(std::max(1, context.num_threads)));
  parallel_for(context, down * parts, 1, [&](int64_t task, int64_t, int thread) {
    auto& scores = memory[static_cast<std::size_t>(thread)];
    if (scores.size() == 0) scores = LargeBuffer<T>(static_cast<std::size_t>(kRows * kItems));
    const int64_t part = task % parts, u0 = task / parts * kRows, users = std::min(kRows, z.rows - u0);
    Mass<T>* const mass = masses.data() + part * z.rows + u0;
    T* const sum = wanted ? sums.data() + (part * z.rows + u0) * z.cols : nullptr;
    const int64_t first = w.rows * part / parts, last = w.rows * (part + 1) / parts;
    for (int64_t j = first; j < last; j += kItems) {
      const int64_t width = std::min(kItems, last - j);
      product.gemm(false, true, users, width, z.cols, T(1), z.row(u0), z.stride, w.row(j), w.stride, T(0),
                   scores.data(), kItems, simd::kFull);
      for (int64_t u = 0; u < users; ++u) {
        T* const row = scores.data() + u * kItems;
        const T shrink = mass[u].raise(bias ? rows.add_max(width, bias + j, row) : rows.max(width, row));
        if (!wanted) {
          mass[u].sum += static_cast<double>(rows.sum_exp(width, row, mass[u].shift()));
          continue;
        }
        mass[u].sum += static_cast<double>(rows.exp_sum(width, row, mass[u].shift(), row));
        if (j > first && shrink != T(1)) rows.multiply(z.cols, shrink, sum + u * z.cols);
      }
      if (wanted)
        product.gemm(false, false, users, z.cols, width, T(1), scores.data(), kItems, w.row(j), w.stride, T(j > first),
                     sum, z.cols, simd::kFull);
    }
  });
  parallel_for(context, z.rows, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t u = begin; u < end; ++u) {
      Mass<T> all;
      for (int64_t p = 0; p < parts; ++p) all.raise(masses[static_cast<std::size_t>(p * z.rows + u)].best);
      std::vector<double> share(static_cast<std::size_t>(parts));
      for (int64_t p = 0; p < parts; ++p) {
        const Mass<T>& own = masses[static_cast<std::size_t>(p * z.rows + u)];
        const double factor = std::exp(static_cast<double>(own.best) - static_cast<double>(all.shift()));
        share[static_cast<std::size_t>(p)] = factor;
        all.sum += factor * own.sum;
      }
      lse[u] = static_cast<T>(all.log_sum());
      if (!wanted) continue;
      for (int64_t l = 0; l < z.cols; ++l) {
        double value = 0;
        for (int64_t p = 0; p < parts; ++p)
          value += share[static_cast<std::size_t>(p)] *
                   static_cast<double>(sums[static_cast<std::size_t>((p * z.rows + u) * z.cols + l)]);
        mean(u, l) = static_cast<T>(value / all.sum);
      }
    }
  });
}

template <class T>
void linear_multinomial_nll_backward(const T* grad, const T* lse, MatrixView<const T> z, MatrixView<const T> w,
                                     const T* bias, const CsrView<T>& x, MatrixView<T> dw, T* db,
                                     const Context& context) {
  const auto& rows = simd::softmax_kernel<T>();
  const auto& product = simd::gemm_kernel<T>();
  std::vector<T> scale(static_cast<std::size_t>(z.rows));
  for (int64_t u = 0; u < z.rows; ++u)
    scale[static_cast<std::size_t>(u)] = static_cast<T>(static_cast<double>(grad[u]) * row_total(x, u));
  std::vector<LargeBuffer<T>> memory(static_cast<std::size_t>(std::max(1, context.num_threads)));
  const int64_t tiles = (w.rows + kItems - 1) / kItems;
  parallel_for(context, tiles, 1, [&](int64_t tile, int64_t, int thread) {
    auto& own = memory[static_cast<std::size_t>(thread)];
    if (own.size() == 0) own = LargeBuffer<T>(static_cast<std::size_t>(kRows * kItems));
    const int64_t j = tile * kItems, width = std::min(kItems, w.rows - j);
    std::fill_n(db + j, width, T(0));
    for (int64_t u0 = 0; u0 < z.rows; u0 += kRows) {
      const int64_t users = std::min(kRows, z.rows - u0);
      product.gemm(false, true, users, width, z.cols, T(1), z.row(u0), z.stride, w.row(j), w.stride, T(0), own.data(),
                   kItems, simd::kFull);
      for (int64_t u = 0; u < users; ++u) {
        T* const row = own.data() + u * kItems;
        const int64_t user = u0 + u;
        rows.scaled_exp(width, row, bias ? bias + j : nullptr, lse[user], scale[static_cast<std::size_t>(user)], row);
        const std::int32_t* const end = x.indices + x.indptr[user + 1];
        const std::int32_t* at = std::lower_bound(x.indices + x.indptr[user], end, j);
        for (; at < end && *at < j + width; ++at) row[*at - j] -= grad[user] * x.value(at - x.indices);
        rows.add(width, row, db + j);
      }
      if (dw.rows > 0)
        product.gemm(true, false, width, z.cols, users, T(1), own.data(), kItems, z.row(u0), z.stride, T(u0 > 0),
                     dw.row(j), dw.stride, simd::kFull);
    }
    if (z.rows == 0 && dw.rows > 0)
      for (int64_t i = j; i < j + width; ++i) std::fill_n(dw.row(i), dw.cols, T(0));
  });
}

#define FASTLAE_INSTANTIATE(T)                                                                                         \
  template void multinomial_nll<T>(MatrixView<const T>, const CsrView<T>&, T*, T*, const Context&);                    \
  template void multinomial_nll_backward<T>(const T*, const T*, MatrixView<const T>, const CsrView<T>&, MatrixView<T>, \
                                            const Context&);                                                           \
  template void softmax_mean<T>(MatrixView<const T>, MatrixView<const T>, const T*, T*, MatrixView<T>,                 \
                                const Context&);                                                                       \
  template void linear_multinomial_nll_backward<T>(const T*, const T*, MatrixView<const T>, MatrixView<const T>,       \
                                                   const T*, const CsrView<T>&, MatrixView<T>, T*, const Context&);
FASTLAE_INSTANTIATE(float)
FASTLAE_INSTANTIATE(double)

}  // namespace fastlae
