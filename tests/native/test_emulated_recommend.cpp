// Emulated kernels of csrc/cuda/score.cu and topk.cu against the CPU's.
#include <cmath>
#include <vector>

#include "emulated.hpp"
#include "fastlae/cuda/score.hpp"
#include "fastlae/cuda/topk.hpp"
#include "fastlae/score.hpp"
#include "fastlae/topk.hpp"

namespace fastlae::test {

void same(Matrix<std::int32_t>& items, Matrix<float>& scores, Matrix<std::int32_t>& expected_items,
          Matrix<float>& expected_scores, const char* what) {
  const MatrixView<std::int32_t> view = items.view();
  for (int64_t u = 0; u < view.rows; ++u)
    for (int64_t r = 0; r < view.cols; ++r) {
      CHECK(items(u, r) == expected_items(u, r), "%s, row %d slot %d: %d and %d", what, static_cast<int>(u),
            static_cast<int>(r), items(u, r), expected_items(u, r));
      CHECK(scores(u, r) == expected_scores(u, r), "%s, row %d slot %d: %g and %g", what, static_cast<int>(u),
            static_cast<int>(r), static_cast<double>(scores(u, r)), static_cast<double>(expected_scores(u, r)));
    }
}

/// Weights are quarters, so that sums are exact and ties frequent.
template <class T>
void check(int64_t users, int64_t n, int64_t k, bool hide, double density = 0.05) {
  Random random(static_cast<std::uint64_t>(users * 31 + n + k));
  const Csr<T> data = interactions<T>(users, n, density, random);
  const Csr<T> seen = interactions<T>(users, n, density / 2, random);
  Matrix<T> w(n, n, 3), s(users, n, 1), cpu_s(users, n, 1);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) w(i, j) = static_cast<T>(static_cast<double>(random.below(17)) / 4 - 2);
  if (n > 3) w(0, 3) = std::numeric_limits<T>::quiet_NaN();
  std::vector<std::uint8_t> columns(static_cast<std::size_t>(n));
  std::vector<T> scale(columns.size());
  for (auto& c : columns) c = random.below(9) == 0;
  for (auto& f : scale) f = static_cast<T>(1 + random.below(3));
  const CsrView<T> x{users, n, data.indptr.data(), data.indices.data(), nullptr};
  const Hidden hidden = hide ? Hidden{seen.indptr.data(), seen.indices.data(), columns.data()} : Hidden{};
  const cuda::Hidden device_hidden{hidden.indptr, hidden.indices, hidden.columns};
  const T* const factor = hide ? scale.data() : nullptr;
  score<T>(x, w.view(), cpu_s.view(), context(1));
  Matrix<std::int32_t> expected_items(users, k), items(users, k);
  Matrix<float> expected_scores(users, k), scores(users, k);
  under_schedules([&] {
    const Device device(cuda::topk_workspace(users, n, k, sizeof(T)));
    cuda::score<T>(device_csr(data, n, false), w.view(), s.view(), device.context());
    CHECK(s.intact(), "written between rows");
    for (int64_t u = 0; u < users; ++u)
      for (int64_t j = 0; j < n; ++j)
        CHECK(s(u, j) == cpu_s(u, j) || (std::isnan(s(u, j)) && std::isnan(cpu_s(u, j))), "score (%d, %d)",
              static_cast<int>(u), static_cast<int>(j));
    topk<T>(cpu_s.view(), factor, hidden, expected_items.view(), expected_scores.view(), context(1));
    cuda::topk<T>(cpu_s.view(), factor, device_hidden, items.view(), scores.view(), device.context());
    same(items, scores, expected_items, expected_scores, "topk");
    recommend<T>(x, w.view(), hidden, expected_items.view(), expected_scores.view(), context(1));
    cuda::recommend<T>(device_csr(data, n, false), w.view(), device_hidden, items.view(), scores.view(),
                       device.context());
    same(items, scores, expected_items, expected_scores, "recommend");
  });
}

/// Sparse weights, and the diagonal of X M X^T.
template <class T>
void check_sparse(int64_t rows, int64_t n) {
  Random random(static_cast<std::uint64_t>(rows + n));
  const Csr<T> data = interactions<T>(rows, n, 0.2, random), weights = interactions<T>(n, n, 0.2, random);
  Matrix<T> dense(n, n), s(rows, n, 2), expected(rows, n);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) dense(i, j) = T(0);
    for (int64_t e = weights.indptr[static_cast<std::size_t>(i)]; e < weights.indptr[static_cast<std::size_t>(i) + 1];
         ++e)
      dense(i, weights.indices[static_cast<std::size_t>(e)]) = weights.values[static_cast<std::size_t>(e)];
  }
  const CsrView<T> x{rows, n, data.indptr.data(), data.indices.data(), data.values.data()};
  score<T>(x, dense.view(), expected.view(), context(1));
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < i; ++j) dense(i, j) = dense(j, i);
  std::vector<double> q(static_cast<std::size_t>(rows)), expected_q(q);
  quadratic_diagonal<T>(x, SymmetricView<const T>{dense.view().data, n, n, n}, expected_q.data(), context(1));
  under_schedules([&] {
    const Device device(0);
    cuda::score_sparse<T>(device_csr(data, n, true), device_csr(weights, n, true), s.view(), device.context());
    cuda::quadratic_diagonal<T>(device_csr(data, n, true), dense.view(), q.data(), device.context());
    CHECK(s.intact(), "written between rows");
    for (int64_t u = 0; u < rows; ++u) {
      const auto at = static_cast<std::size_t>(u);
      CHECK(std::abs(q[at] - expected_q[at]) <= 1e-12 * (1 + std::abs(expected_q[at])), "row %d: %g and %g",
            static_cast<int>(u), q[at], expected_q[at]);
      for (int64_t j = 0; j < n; ++j)
        CHECK(std::abs(static_cast<double>(s(u, j) - expected(u, j))) < 1e-5, "sparse (%d, %d)", static_cast<int>(u),
              static_cast<int>(j));
    }
  });
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  for (const bool hide : {false, true}) {
    check<float>(7, 40, 5, hide);
    check<float>(5, 700, 20, hide);    // two tiles
    check<double>(4, 600, 700, hide);  // lists longer than what there is, and than a block
    check<float>(3, 1100, 1, hide);
    check<float>(2, 1, 3, hide);
    check<float>(0, 8, 3, hide);
  }
  check<float>(1030, 20, 3, true, 0.2);  // many rows: one block each, and a launch a tile
  check<double>(2, 1300, 600, true);     // few rows: several lists each, longer than what is merged at a time
  check_sparse<float>(9, 300);
  check_sparse<double>(4, 30);
  return report_emulated("recommend");
}
