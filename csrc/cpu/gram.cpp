#include "fastlae/gram.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <numeric>
#include <vector>

#include "parallel.hpp"

namespace fastlae {

namespace {

using std::int64_t;

/// X with its columns renamed by falling popularity, by rows, and for every column the rows that hold it.
///
/// With popular columns first, the hot end of an accumulator row is a few cache lines, and the work of column i (the
/// entries left of it in all its rows) is spread evenly: popular columns have many short rows, rare ones few long ones.
template <class T>
struct Relabelled {
  std::vector<std::int32_t> rank;     // (cols) old name -> new name
  std::vector<std::int32_t> indices;  // (nnz) new names, ascending within a row
  std::vector<T> values;              // (nnz), or empty: all 1
  std::vector<int64_t> first;         // (cols + 1) where the entries of a column begin in `entries`
  std::vector<int64_t> entries;       // (nnz) positions in `indices`, rows ascending
  std::vector<std::int32_t> rows;     // (nnz) the rows of `entries`
};

template <class T>
Relabelled<T> relabel(const CsrView<T>& x) {
  const int64_t n = x.cols, nnz = x.nnz(), base = x.indptr[0];
  std::vector<int64_t> popularity(static_cast<std::size_t>(n), 0);
  for (int64_t e = 0; e < nnz; ++e) ++popularity[x.indices[base + e]];
  std::vector<int64_t> by_popularity(static_cast<std::size_t>(n));
  std::iota(by_popularity.begin(), by_popularity.end(), 0);
  std::stable_sort(by_popularity.begin(), by_popularity.end(),
                   [&](int64_t i, int64_t j) { return popularity[i] > popularity[j]; });
  Relabelled<T> out;
  out.rank.resize(n);
  out.first.assign(n + 1, 0);
  for (int64_t r = 0; r < n; ++r) {
    out.rank[by_popularity[r]] = static_cast<std::int32_t>(r);
    out.first[r + 1] = out.first[r] + popularity[by_popularity[r]];
  }
  // A counting sort by new name gives every column its rows, ascending; walking it by columns refills the rows, which
  // then come out sorted.
  out.rows.resize(nnz);
  std::vector<T> column_values(x.values ? nnz : 0);
  std::vector<int64_t> next(out.first.begin(), out.first.end() - 1);
  for (int64_t u = 0; u < x.rows; ++u)
    for (int64_t e = x.indptr[u]; e < x.indptr[u + 1]; ++e) {
      const int64_t at = next[out.rank[x.indices[e]]]++;
      out.rows[at] = static_cast<std::int32_t>(u);
      if (x.values) column_values[at] = x.values[e];
    }
  out.indices.resize(nnz);
  out.values.resize(column_values.size());
  out.entries.resize(nnz);
  std::vector<int64_t> free(static_cast<std::size_t>(x.rows));
  for (int64_t u = 0; u < x.rows; ++u) free[u] = x.indptr[u] - base;
  for (int64_t r = 0; r < n; ++r)
    for (int64_t at = out.first[r]; at < out.first[r + 1]; ++at) {
      const int64_t e = free[out.rows[at]]++;
      out.indices[e] = static_cast<std::int32_t>(r);
      if (x.values) out.values[e] = column_values[at];
      out.entries[at] = e;
    }
  return out;
}

constexpr int64_t kRowsAhead = 8;

/// One accumulator row: sums over the rows that hold column `r`, of the columns up to r.
template <class T, class Sum>
void accumulate(const CsrView<T>& x, const Relabelled<T>& data, const double* weights, int64_t r, Sum* sums) {
  for (int64_t at = data.first[r]; at < data.first[r + 1]; ++at) {
    if (at + kRowsAhead < data.first[r + 1]) {  // rows lie anywhere: ask for the next ones' beginnings
      const std::int32_t* const ahead = data.indices.data() + x.indptr[data.rows[at + kRowsAhead]] - x.indptr[0];
      __builtin_prefetch(ahead);
      __builtin_prefetch(ahead + 16);
    }
    const int64_t u = data.rows[at], end = data.entries[at];
    const std::int32_t* column = data.indices.data();
    if constexpr (std::is_integral_v<Sum>) {
      for (int64_t e = x.indptr[u] - x.indptr[0]; e <= end; ++e) ++sums[column[e]];
    } else {
      const double weight = weights ? weights[u] : 1.0;
      if (data.values.empty()) {
        for (int64_t e = x.indptr[u] - x.indptr[0]; e <= end; ++e) sums[column[e]] += weight;
      } else {
        const double scale = weight * static_cast<double>(data.values[end]);
        for (int64_t e = x.indptr[u] - x.indptr[0]; e <= end; ++e)
          sums[column[e]] += scale * static_cast<double>(data.values[e]);
      }
    }
  }
}

template <class T, class Sum>
void fill(const CsrView<T>& x, const Relabelled<T>& data, const double* weights, MatrixView<T> g,
          const Context& context) {
  std::vector<std::vector<Sum>> sums(static_cast<std::size_t>(std::max(1, context.num_threads)));
  parallel_for(context, g.rows, 16, [&](int64_t begin, int64_t end, int thread) {
    std::vector<Sum>& row = sums[static_cast<std::size_t>(thread)];
    row.resize(static_cast<std::size_t>(g.cols));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t r = data.rank[i];
      accumulate(x, data, weights, r, row.data());
      T* const out = g.row(i);
      const std::int32_t* const rank = data.rank.data();
      for (int64_t j = 0; j < g.cols; ++j) out[j] = static_cast<T>(row[rank[j]]);
      std::fill_n(row.begin(), r + 1, Sum(0));
    }
  });
}

/// Every pair of columns was counted once, on one side of the diagonal or the other, and the other side is zero.
/// The square below the diagonal goes through a buffer, so that memory sees whole rows of it only.
template <class T>
void symmetrize(MatrixView<T> g, const Context& context) {
  constexpr int64_t side = 64;
  const int64_t n = g.rows, blocks = (n + side - 1) / side;
  parallel_for(context, blocks, 1, [&](int64_t bi, int64_t, int) {
    std::vector<T> buffer(side * side);
    const int64_t i0 = bi * side, i1 = std::min(n, i0 + side);
    for (int64_t j0 = i0; j0 < n; j0 += side) {
      const int64_t j1 = std::min(n, j0 + side);
      for (int64_t j = j0; j < j1; ++j) std::copy_n(g.row(j) + i0, i1 - i0, &buffer[(j - j0) * side]);
      for (int64_t i = i0; i < i1; ++i)
        for (int64_t j = std::max(i + 1, j0); j < j1; ++j) {
          T& below = buffer[(j - j0) * side + (i - i0)];
          g(i, j) = below = g(i, j) + below;
        }
      for (int64_t j = j0; j < j1; ++j) std::copy_n(&buffer[(j - j0) * side], std::min(i1 - i0, j - i0), g.row(j) + i0);
    }
  });
}

}  // namespace

template <class T>
void gram(const CsrView<T>& x, const double* weights, MatrixView<T> g, const Context& context) {
  // While one thread renames the columns, the others make the system provide G's pages, which costs as much.
  Relabelled<T> data;
  std::atomic<bool> renamed{false};
  Team team(context, std::min(context.num_threads, 4));
  team.run([&](int thread) {
    if (thread == 0) {
      data = relabel(x);
      renamed.store(true, std::memory_order_relaxed);
      return;
    }
    constexpr auto page = static_cast<int64_t>(4096 / sizeof(T));
    for (int64_t i = thread - 1; i < g.rows && !renamed.load(std::memory_order_relaxed); i += team.threads() - 1)
      for (int64_t j = 0; j < g.cols; j += page) g(i, j) = T(0);
  });
  if (x.values == nullptr && weights == nullptr)
    fill<T, std::int32_t>(x, data, weights, g, context);
  else
    fill<T, double>(x, data, weights, g, context);
  symmetrize(g, context);
}

template void gram<float>(const CsrView<float>&, const double*, MatrixView<float>, const Context&);
template void gram<double>(const CsrView<double>&, const double*, MatrixView<double>, const Context&);

}  // namespace fastlae
