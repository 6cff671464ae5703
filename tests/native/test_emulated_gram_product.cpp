// The emulated kernel of csrc/cuda/gram_product.cu against the CPU's. Numbers are quarters, so that sums are exact
// whatever their order.
#include <vector>

#include "emulated.hpp"
#include "fastlae/cuda/gram_product.hpp"
#include "fastlae/gram_product.hpp"

namespace fastlae::test {

template <class T>
void check(int64_t users, int64_t items, int64_t dim) {
  Random random(static_cast<std::uint64_t>(users * 31 + items + dim));
  Csr<T> data = interactions<T>(users, items, 0.1, random);
  for (T& value : data.values) value = static_cast<T>(1 + random.below(4)) / T(4);
  Matrix<T> e(items, dim, 3), y(items, dim, 2), expected(items, dim, 1);
  std::vector<T> ridge;
  for (int64_t i = 0; i < items; ++i) {
    ridge.push_back(static_cast<T>(random.below(5)));
    for (int64_t j = 0; j < dim; ++j) e(i, j) = static_cast<T>(static_cast<double>(random.below(17)) / 4 - 2);
  }
  for (const bool valued : {false, true})
    for (const T* diagonal : {static_cast<const T*>(nullptr), static_cast<const T*>(ridge.data())}) {
      const CsrView<T> x{users, items, data.indptr.data(), data.indices.data(), valued ? data.values.data() : nullptr};
      gram_product<T>(x, e.view(), diagonal, expected.view(), context(1));
      under_schedules([&] {
        const Device device(0);
        cuda::gram_product<T>(device_csr(data, items, valued), e.view(), diagonal, y.view(), device.context());
        CHECK(y.intact(), "written between rows");
        for (int64_t i = 0; i < items; ++i)
          for (int64_t j = 0; j < dim; ++j)
            CHECK(y(i, j) == expected(i, j), "(%d, %d)", static_cast<int>(i), static_cast<int>(j));
      });
    }
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  for (const std::int64_t dim : {1, 63, 64, 65}) {
    check<float>(20, 15, dim);
    check<double>(20, 15, dim);
  }
  check<float>(0, 5, 3);
  check<float>(5, 0, 3);
  check<float>(5, 5, 0);
  return report("emulated gram_product");
}
