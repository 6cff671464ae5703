// The emulated kernels of csrc/cuda/factors.cu against the CPU's.
#include <vector>

#include "emulated.hpp"
#include "fastlae/cuda/factors.hpp"
#include "fastlae/factors.hpp"

namespace fastlae::test {

/// Factors are quarters, so that sums are exact and ties frequent.
template <class T>
void check(int64_t users, int64_t n, int64_t dim, int64_t k, bool hide) {
  Random random(static_cast<std::uint64_t>(users * 31 + n + k));
  const Csr<T> seen = interactions<T>(users, n, 0.1, random);
  Matrix<T> p(users, dim, 1), e(n, dim, 2), s(users, n, 1), expected(users, n);
  for (auto* m : {&p, &e})
    for (int64_t i = 0; i < m->view().rows; ++i)
      for (int64_t j = 0; j < dim; ++j) (*m)(i, j) = static_cast<T>(static_cast<double>(random.below(17)) / 4 - 2);
  std::vector<std::uint8_t> columns(static_cast<std::size_t>(n));
  std::vector<T> bias(columns.size());
  for (auto& c : columns) c = random.below(9) == 0;
  for (auto& b : bias) b = static_cast<T>(random.below(3));
  const T* const shift = hide ? bias.data() : nullptr;
  const Hidden hidden = hide ? Hidden{seen.indptr.data(), seen.indices.data(), columns.data()} : Hidden{};
  const cuda::Hidden there{hidden.indptr, hidden.indices, hidden.columns};
  Matrix<std::int32_t> expected_items(users, k), items(users, k);
  Matrix<float> expected_scores(users, k), scores(users, k);
  recommend_factors<T>(p.view(), e.view(), shift, hidden, expected_items.view(), expected_scores.view(), context(1));
  score_factors<T>(p.view(), e.view(), shift, expected.view(), context(1));
  under_schedules([&] {
    const Device device(cuda::factors_workspace(users, n, k, sizeof(T)));
    cuda::recommend_factors<T>(p.view(), e.view(), shift, there, items.view(), scores.view(), device.context());
    cuda::score_factors<T>(p.view(), e.view(), shift, s.view(), device.context());
    CHECK(s.intact() && items.same_bits(expected_items) && scores.same_bits(expected_scores), "%d users, %d items",
          static_cast<int>(users), static_cast<int>(n));
    for (int64_t u = 0; u < users; ++u)
      for (int64_t j = 0; j < n; ++j)
        CHECK(s(u, j) == expected(u, j), "(%d, %d)", static_cast<int>(u), static_cast<int>(j));
  });
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  for (const bool hide : {false, true}) {
    check<float>(20, 70, 5, 10, hide);
    check<double>(3, 600, 33, 7, hide);
    check<float>(0, 30, 4, 3, hide);
  }
  return report_emulated("factors");
}
