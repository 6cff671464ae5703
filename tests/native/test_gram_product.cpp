// The Gram product against plain loops in double precision.
#include "check.hpp"
#include "fastlae/gram_product.hpp"

namespace fastlae::test {

using std::int64_t;

template <class T>
void check(int64_t users, int64_t items, int64_t dim, double density) {
  Random random(static_cast<std::uint64_t>(users * 100 + items * 10 + dim));
  const Csr<T> rows = interactions<T>(users, items, density, random);
  Matrix<T> e(items, dim, 3);
  std::vector<T> ridge;
  for (int64_t i = 0; i < items; ++i) {
    ridge.push_back(static_cast<T>(random() + 2));
    for (int64_t j = 0; j < dim; ++j) e(i, j) = static_cast<T>(random());
  }
  for (const bool valued : {false, true})
    for (const bool ridged : {false, true}) {
      const CsrView<T> x{users, items, rows.indptr.data(), rows.indices.data(), valued ? rows.values.data() : nullptr};
      Matrix<T> y(items, dim, 2), again(items, dim, 2);
      gram_product<T>(x, e.view(), ridged ? ridge.data() : nullptr, y.view(), context(1));
      gram_product<T>(x, e.view(), ridged ? ridge.data() : nullptr, again.view(), context(5));
      CHECK(y.intact() && y.same_bits(again), "%d x %d, dim %d", static_cast<int>(users), static_cast<int>(items),
            static_cast<int>(dim));
      std::vector<double> expected(static_cast<std::size_t>(items * dim), 0.0), size(expected);
      for (int64_t u = 0; u < users; ++u)
        for (int64_t j = 0; j < dim; ++j) {
          double t = 0, absolute = 0;
          for (int64_t k = x.indptr[u]; k < x.indptr[u + 1]; ++k) {
            t += double(x.value(k)) * double(e(x.indices[k], j));
            absolute += std::abs(double(x.value(k)) * double(e(x.indices[k], j)));
          }
          for (int64_t k = x.indptr[u]; k < x.indptr[u + 1]; ++k) {
            expected[static_cast<std::size_t>(x.indices[k] * dim + j)] += double(x.value(k)) * t;
            size[static_cast<std::size_t>(x.indices[k] * dim + j)] += std::abs(double(x.value(k))) * absolute;
          }
        }
      for (int64_t i = 0; i < items; ++i)
        for (int64_t j = 0; j < dim; ++j) {
          const auto at = static_cast<std::size_t>(i * dim + j);
          const double own = ridged ? double(ridge[static_cast<std::size_t>(i)]) * double(e(i, j)) : 0.0;
          const double bound = static_cast<double>(users + items + 8) *
                               static_cast<double>(std::numeric_limits<T>::epsilon()) * (size[at] + std::abs(own));
          CHECK(std::abs(expected[at] + own - double(y(i, j))) <= bound, "(%d, %d) of dim %d", static_cast<int>(i),
                static_cast<int>(j), static_cast<int>(dim));
        }
    }
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  for (const std::int64_t dim : {0, 1, 15, 16, 17, 32, 70}) {
    check<float>(60, 40, dim, 0.1);
    check<double>(60, 40, dim, 0.1);
  }
  check<float>(0, 5, 3, 0.1);
  check<float>(5, 0, 3, 0.1);
  check<float>(1, 1, 1, 1.0);
  check<float>(3000, 900, 33, 0.2);  // several parts of the users
  check<double>(3000, 900, 5, 0.2);
  return report("gram_product");
}
