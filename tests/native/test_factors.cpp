// Scores of factors and the best of them, against plain loops in double precision.
#include <algorithm>
#include <numeric>

#include "check.hpp"
#include "fastlae/factors.hpp"

namespace fastlae::test {

using std::int64_t;

template <class T>
Matrix<T> random_matrix(int64_t rows, int64_t cols, Random& random) {
  Matrix<T> m(rows, cols, 3);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j) m(i, j) = static_cast<T>(random());
  return m;
}

template <class T>
void check(int64_t users, int64_t n, int64_t dim, int64_t k, bool biased) {
  Random random(static_cast<std::uint64_t>(users * 31 + n));
  Matrix<T> p = random_matrix<T>(users, dim, random), e = random_matrix<T>(n, dim, random);
  std::vector<T> bias(static_cast<std::size_t>(n));
  for (T& b : bias) b = static_cast<T>(random());
  const T* const b = biased ? bias.data() : nullptr;
  Csr<T> seen = interactions<T>(users, n, 0.1, random);
  std::vector<std::uint8_t> columns(static_cast<std::size_t>(n), 0);
  for (int64_t j = 0; j < n; j += 11) columns[static_cast<std::size_t>(j)] = 1;
  const Hidden hidden{seen.indptr.data(), seen.indices.data(), columns.data()};

  Matrix<T> s(users, n, 5), again(users, n, 5);
  score_factors<T>(p.view(), e.view(), b, s.view(), context(1));
  score_factors<T>(p.view(), e.view(), b, again.view(), context(3));
  CHECK(s.intact() && s.same_bits(again), "users = %d", static_cast<int>(users));
  const double tolerance = 20 * static_cast<double>(dim + 1) * static_cast<double>(std::numeric_limits<T>::epsilon());
  for (int64_t u = 0; u < users; ++u)
    for (int64_t j = 0; j < n; ++j) {
      double sum = biased ? double(bias[static_cast<std::size_t>(j)]) : 0.0;
      for (int64_t l = 0; l < dim; ++l) sum += double(p(u, l)) * double(e(j, l));
      CHECK(std::abs(sum - double(s(u, j))) < tolerance, "(%d, %d)", static_cast<int>(u), static_cast<int>(j));
    }

  Matrix<std::int32_t> items(users, k, 1), items3(users, k, 1);
  Matrix<float> best(users, k, 1), best3(users, k, 1);
  recommend_factors<T>(p.view(), e.view(), b, hidden, items.view(), best.view(), context(1));
  recommend_factors<T>(p.view(), e.view(), b, hidden, items3.view(), best3.view(), context(3));
  CHECK(items.intact() && best.intact() && items.same_bits(items3) && best.same_bits(best3), "n = %d",
        static_cast<int>(n));
  for (int64_t u = 0; u < users; ++u) {
    std::vector<std::int32_t> order;
    for (int64_t j = 0; j < n; ++j) {
      const auto begin = seen.indices.begin() + seen.indptr[static_cast<std::size_t>(u)];
      const auto end = seen.indices.begin() + seen.indptr[static_cast<std::size_t>(u + 1)];
      if (!columns[static_cast<std::size_t>(j)] && !std::binary_search(begin, end, static_cast<std::int32_t>(j)))
        order.push_back(static_cast<std::int32_t>(j));
    }
    std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t c) { return s(u, a) > s(u, c); });
    for (int64_t r = 0; r < k; ++r) {
      const bool there = r < static_cast<int64_t>(order.size());
      CHECK(items(u, r) == (there ? order[static_cast<std::size_t>(r)] : -1), "user %d, place %d", static_cast<int>(u),
            static_cast<int>(r));
      CHECK(there ? best(u, r) == static_cast<float>(s(u, items(u, r))) : std::isinf(best(u, r)), "user %d",
            static_cast<int>(u));
    }
  }
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  for (const bool biased : {false, true}) {
    check<float>(600, 900, 40, 7, biased);
    check<double>(37, 1000, 330, 20, biased);
    check<float>(3, 2000, 5, 3000, biased);
    check<double>(1, 1, 1, 1, biased);
    check<float>(5, 200, 0, 4, biased);
    check<float>(0, 10, 3, 2, biased);
    check<float>(4, 0, 3, 2, biased);
  }
  return report("factors");
}
