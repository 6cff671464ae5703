// SLIM's columns against their optimality conditions, in double precision.
#include <algorithm>
#include <cmath>

#include "check.hpp"
#include "fastlae/slim.hpp"

namespace fastlae::test {

using std::int64_t;

template <class T>
void check(int64_t n, double l1, double l2, bool nonnegative, double tolerance) {
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
  const SlimOptions options{l1, l2, nonnegative, tolerance, 100000};
  const auto size = static_cast<std::size_t>(n);
  std::vector<SlimColumn<T>> columns(size), again(size), warm(size);
  slim<T>(g.view(), options, nullptr, columns.data(), context(1));
  slim<T>(g.view(), options, nullptr, again.data(), context(3));
  Csr<T> start;
  for (int64_t j = 0; j < n; ++j) {
    const auto& column = columns[static_cast<std::size_t>(j)];
    CHECK(column.items == again[static_cast<std::size_t>(j)].items, "n = %d", static_cast<int>(n));
    CHECK(column.values == again[static_cast<std::size_t>(j)].values, "n = %d", static_cast<int>(n));
    CHECK(column.violation <= tolerance, "column %d", static_cast<int>(j));
    CHECK(std::is_sorted(column.items.begin(), column.items.end()), "column %d", static_cast<int>(j));
    start.indices.insert(start.indices.end(), column.items.begin(), column.items.end());
    start.values.insert(start.values.end(), column.values.begin(), column.values.end());
    start.indptr.push_back(static_cast<int64_t>(start.indices.size()));
    double scale = 0;
    for (int64_t i = 0; i < n; ++i)
      if (i != j) scale = std::max(scale, std::abs(double(g(i, j))));
    for (int64_t i = 0; i < n; ++i) {
      double rest = double(g(i, j)), w = 0;
      for (std::size_t e = 0; e < column.items.size(); ++e) {
        rest -= double(g(i, column.items[e])) * double(column.values[e]);
        if (column.items[e] == i) w = double(column.values[e]);
      }
      rest -= l2 * w;
      const double miss = w > 0   ? std::abs(rest - l1)
                          : w < 0 ? std::abs(rest + l1)
                                  : std::max(0.0, (nonnegative ? rest : std::abs(rest)) - l1);
      CHECK(i == j ? w == 0 : miss <= 2 * tolerance * scale, "(%d, %d): %g", static_cast<int>(i), static_cast<int>(j),
            miss);
      CHECK(!nonnegative || w >= 0, "(%d, %d)", static_cast<int>(i), static_cast<int>(j));
    }
  }
  const CsrView<T> first{n, n, start.indptr.data(), start.indices.data(), start.values.data()};
  slim<T>(g.view(), options, &first, warm.data(), context(2));
  for (std::size_t j = 0; j < size; ++j) CHECK(warm[j].violation <= tolerance, "column %d", static_cast<int>(j));
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  for (const bool nonnegative : {true, false}) {
    check<float>(60, 2.0, 1.0, nonnegative, 1e-4);
    check<double>(50, 0.5, 3.0, nonnegative, 1e-6);
    check<double>(1, 1.0, 1.0, nonnegative, 1e-4);
    check<float>(0, 1.0, 1.0, nonnegative, 1e-4);
  }
  check<double>(130, 0.0, 90.0, false, 1e-4);  // more active items than their matrix has room for at first
  return report("slim");
}
