// The emulated kernel of csrc/cuda/slim.cu: its columns against the optimality conditions, and beside the CPU's.
#include <algorithm>
#include <vector>

#include "emulated.hpp"
#include "fastlae/cuda/slim.hpp"
#include "fastlae/slim.hpp"

namespace fastlae::test {

template <class T>
Matrix<T> gram_of(int64_t n) {
  Random random(static_cast<std::uint64_t>(n));
  Matrix<double> x(2 * n + 3, n);
  for (int64_t u = 0; u < 2 * n + 3; ++u)
    for (int64_t i = 0; i < n; ++i) x(u, i) = i % 7 == 2 ? 0 : double(random() > 0.2);
  Matrix<T> g(n, n, 3);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t u = 0; u < 2 * n + 3; ++u) sum += x(u, i) * x(u, j);
      g(i, j) = static_cast<T>(sum);
    }
  return g;
}

/// The first columns of W, as rows, from calls that make `step` columns at a time.
template <class T>
Matrix<T> solve(Matrix<T>& g, const SlimOptions& options, const cuda::DeviceCsr<T>* start, int64_t last, int64_t step) {
  const int64_t n = g.view().rows;
  Matrix<T> w(last, n);
  for (int64_t j = 0; j < last; ++j)
    for (int64_t i = 0; i < n; ++i) w(j, i) = T(0);
  for (int64_t first = 0; first < last; first += step) {
    const int64_t columns = std::min(step, last - first);
    const Device device(cuda::slim_workspace(n, columns));
    const auto size = static_cast<std::size_t>(columns), most = static_cast<std::size_t>(columns * n);
    std::vector<int64_t> starts(size);
    std::vector<std::int32_t> counts(size), items(most);
    std::vector<double> violations(size);
    std::vector<T> values(most);
    int64_t total = -1, sum = 0;
    cuda::slim<T>(g.view(), options, start, first, columns, starts.data(), counts.data(), violations.data(), &total,
                  items.data(), values.data(), device.context());
    for (std::size_t c = 0; c < size; ++c) {
      const int64_t j = first + static_cast<int64_t>(c);
      CHECK(violations[c] <= options.tolerance, "column %d", static_cast<int>(j));
      sum += counts[c];
      for (std::int32_t e = 0; e < counts[c]; ++e) {
        const auto at = static_cast<std::size_t>(starts[c] + e);
        CHECK(w(j, items[at]) == T(0), "column %d has item %d twice", static_cast<int>(j), items[at]);
        w(j, items[at]) = values[at];
      }
    }
    CHECK(total == sum, "%d weights, and %d counted", static_cast<int>(total), static_cast<int>(sum));
  }
  return w;
}

template <class T>
void check(int64_t n, int64_t last, double l1, double l2, bool nonnegative, double tolerance) {
  Matrix<T> g = gram_of<T>(n);
  const SlimOptions options{l1, l2, nonnegative, tolerance, 100000};
  std::vector<SlimColumn<T>> columns(static_cast<std::size_t>(n));
  slim<T>(g.view(), options, nullptr, columns.data(), context(1));
  Csr<T> start;
  for (const auto& column : columns) {
    start.indices.insert(start.indices.end(), column.items.begin(), column.items.end());
    start.values.insert(start.values.end(), column.values.begin(), column.values.end());
    start.indptr.push_back(static_cast<int64_t>(start.indices.size()));
  }
  const cuda::DeviceCsr<T> begin = device_csr(start, n, true);
  under_schedules([&] {
    for (const bool warm : {false, true}) {
      Matrix<T> w = solve(g, options, warm ? &begin : nullptr, last, last / 2 + 1);
      for (int64_t j = 0; j < last; ++j) {
        double scale = 0;
        for (int64_t i = 0; i < n; ++i)
          if (i != j) scale = std::max(scale, std::abs(double(g(i, j))));
        for (int64_t i = 0; i < n; ++i) {
          double rest = double(g(i, j));
          for (int64_t k = 0; k < n; ++k) rest -= double(g(i, k)) * double(w(j, k));
          rest -= l2 * double(w(j, i));
          const double miss = w(j, i) > 0   ? std::abs(rest - l1)
                              : w(j, i) < 0 ? std::abs(rest + l1)
                                            : std::max(0.0, (nonnegative ? rest : std::abs(rest)) - l1);
          CHECK(i == j ? w(j, i) == 0 : miss <= 2 * tolerance * scale, "(%d, %d): %g", static_cast<int>(i),
                static_cast<int>(j), miss);
          CHECK(!nonnegative || w(j, i) >= 0, "(%d, %d)", static_cast<int>(i), static_cast<int>(j));
        }
      }
    }
  });
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  for (const bool nonnegative : {true, false}) {
    check<float>(40, 40, 2.0, 1.0, nonnegative, 1e-4);
    check<double>(30, 30, 0.5, 30.0, nonnegative, 1e-6);
  }
  check<float>(170, 3, 1.0, 20.0, true, 1e-3);  // more want to join than may
  check<double>(1, 1, 0.5, 3.0, true, 1e-8);
  return report_emulated("slim");
}
