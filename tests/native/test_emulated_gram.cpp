// Emulated kernels of csrc/cuda/gram.cu and device.cu against loops in double precision, and for counts against the
// CPU.
#include <cmath>
#include <vector>

#include "emulated.hpp"
#include "fastlae/cuda/gram.hpp"
#include "fastlae/gram.hpp"

namespace fastlae::test {

template <class T>
void check(int64_t users, int64_t items, double density, bool valued, bool weighted,
           int64_t head_items = cuda::kHeadByCost) {
  Random random(static_cast<std::uint64_t>(users * 1000 + items));
  const Csr<T> data = interactions<T>(users, items, density, random);
  std::vector<double> weights(static_cast<std::size_t>(users));
  for (double& w : weights) w = random() + 1;
  const double* const w = weighted ? weights.data() : nullptr;
  const CsrView<T> x{users, items, data.indptr.data(), data.indices.data(), valued ? data.values.data() : nullptr};
  Matrix<T> expected(items, items), g(items, items, 3);
  gram<T>(x, w, expected.view(), context(1));
  under_schedules([&] {
    const Device device(cuda::gram_workspace(users, items, static_cast<int64_t>(data.indices.size())));
    cuda::gram<T>(device_csr(data, items, valued), w, g.view(), head_items, device.context());
    CHECK(g.intact(), "written between rows");
    for (int64_t i = 0; i < items; ++i)
      for (int64_t j = 0; j < items; ++j) {
        const double difference = std::abs(static_cast<double>(g(i, j)) - static_cast<double>(expected(i, j)));
        const double bound = valued || weighted ? (sizeof(T) == 4 ? 1e-6 : 1e-12) : 0.0;
        CHECK(difference <= bound * (1 + std::abs(static_cast<double>(expected(i, j)))), "(%d, %d) of %d: %g and %g",
              static_cast<int>(i), static_cast<int>(j), static_cast<int>(items), static_cast<double>(g(i, j)),
              static_cast<double>(expected(i, j)));
      }
  });
}

std::int32_t flags_of(const Csr<float>& x, int64_t cols, bool values) {
  std::int32_t flags = -1;
  cuda::csr_flags(device_csr(x, cols, values), &flags, Device(0).context());
  return flags;
}

void check_flags() {
  Csr<float> x;
  x.indptr = {0, 2, 2, 3};
  x.indices = {0, 4, 1};
  x.values = {1, 1, 1};
  CHECK(flags_of(x, 5, true) == 0 && flags_of(x, 5, false) == 0, "a sound matrix");
  CHECK(flags_of(x, 4, true) == cuda::kOutOfRange, "a column too far");
  x.values = {1, 0, -2};
  CHECK(flags_of(x, 5, true) == (cuda::kNotOnes | cuda::kStoredZero | cuda::kNegative), "values");
  x.values[1] = std::nanf("");
  CHECK(flags_of(x, 5, true) & cuda::kNotFinite, "NaN");
  x.indices = {4, 4, 1};
  CHECK(flags_of(x, 5, false) == cuda::kNotAscending, "a column twice");
  x.indices = {4, 0, -1};
  CHECK(flags_of(x, 5, false) == (cuda::kNotAscending | cuda::kOutOfRange), "out of order and range");
  x.indptr = {0, 9, 2, 3};
  CHECK(flags_of(x, 5, false) & cuda::kBadPointers, "pointers beyond the end");
  x.indptr = {1, 2, 2, 3};
  CHECK(flags_of(x, 5, false) & cuda::kBadPointers, "pointers that begin late");
  x.indptr = {0, 2, 2, 2};
  CHECK(flags_of(x, 5, false) & cuda::kBadPointers, "pointers that end early");
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  for (const bool valued : {false, true})
    for (const bool weighted : {false, true}) {
      check<float>(40, 150, 0.1, valued, weighted);  // two tiles of sums
      check<double>(23, 66, 0.3, valued, weighted);
    }
  check<float>(0, 5, 0.5, false, false);
  check<float>(3, 1, 0.9, true, false);
  check<float>(300, 33, 0.2, false, false);
  for (const bool weighted : {false, true}) {
    check<float>(150, 200, 0.1, false, weighted, 1);    // a head of a few items
    check<float>(300, 140, 0.15, false, weighted, 60);  // of several blocks
    check<float>(40, 150, 0.1, false, weighted, 1000);  // all items
    check<float>(40, 150, 0.1, false, weighted, fastlae::cuda::kNoHead);
  }
  check<double>(200, 100, 0.2, false, false, 30);
  check_flags();
  return report_emulated("gram");
}
