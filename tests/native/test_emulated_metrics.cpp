// The emulated kernel of csrc/cuda/metrics.cu against the CPU's.
#include <vector>

#include "emulated.hpp"
#include "fastlae/cuda/metrics.hpp"
#include "fastlae/metrics.hpp"

namespace fastlae::test {

void check(int64_t users, int64_t n, int64_t slots, const std::vector<std::int32_t>& cutoffs) {
  Random random(static_cast<std::uint64_t>(users + n));
  const Csr<float> data = interactions<float>(users, n, 0.2, random);
  Matrix<std::int32_t> top(users, slots, 1);
  for (int64_t u = 0; u < users; ++u)  // some empty slots, and items more than once
    for (int64_t r = 0; r < slots; ++r) top(u, r) = static_cast<std::int32_t>(random.below(n + 1) - 1);
  const auto count = static_cast<int64_t>(cutoffs.size());
  std::vector<Matrix<double>> cpu(4, Matrix<double>(users, count)), there(4, Matrix<double>(users, count, 1));
  const auto sums = [](std::vector<Matrix<double>>& m) {
    return RankingSums{m[0].view(), m[1].view(), m[2].view(), m[3].view()};
  };
  const CsrView<float> held_out{users, n, data.indptr.data(), data.indices.data(), nullptr};
  ranking_sums(top.view(), held_out, cutoffs.data(), count, sums(cpu), context(1));
  cuda::ranking_sums(top.view(), device_csr(data, n, false), cutoffs.data(), count, sums(there), Device(0).context());
  for (std::size_t which = 0; which < 4; ++which) {
    CHECK(there[which].intact(), "written between rows");
    for (int64_t u = 0; u < users; ++u)
      for (int64_t c = 0; c < count; ++c)
        CHECK(std::abs(cpu[which](u, c) - there[which](u, c)) <= 1e-14 * (1 + cpu[which](u, c)), "sum %d of user %d",
              static_cast<int>(which), static_cast<int>(u));
  }
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  check(300, 40, 20, {1, 5, 20});
  check(3, 5, 8, {8});
  check(0, 5, 8, {3});
  return report_emulated("ranking_sums");
}
