// The diagonal family's scaling and the Miller update, against plain loops.
#include "check.hpp"
#include "fastlae/product.hpp"
#include "fastlae/weights.hpp"

namespace fastlae::test {

using std::int64_t;

template <class T>
Matrix<T> random_matrix(int64_t n, Random& random, double scale) {
  Matrix<T> m(n, n, 2);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) m(i, j) = static_cast<T>(scale * random());
  return m;
}

template <class T>
void check(int64_t n) {
  Random random(static_cast<std::uint64_t>(n));
  const double tolerance = 200 * static_cast<double>(n + 1) * static_cast<double>(std::numeric_limits<T>::epsilon());
  Matrix<T> c = random_matrix<T>(n, random, 1.0);
  std::vector<double> alpha(static_cast<std::size_t>(n)), beta(alpha), scale(alpha);
  for (auto* v : {&alpha, &beta, &scale})
    for (double& value : *v) value = random();
  for (const bool scaled : {false, true}) {
    Matrix<T> w(n, n, 4);
    diagonal_weights<T>(c.view(), alpha.data(), beta.data(), scaled ? scale.data() : nullptr, w.view(), context(2));
    CHECK(w.intact(), "n = %d", static_cast<int>(n));
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) {
        const auto a = static_cast<std::size_t>(i), b = static_cast<std::size_t>(j);
        const double expected = (scaled ? scale[a] : 1.0) * ((i == j ? alpha[a] : 0.0) + double(c(i, j)) * beta[b]);
        CHECK(std::abs(expected - double(w(i, j))) < tolerance, "(%d, %d)", static_cast<int>(i), static_cast<int>(j));
      }
  }
  // Miller: H0 = I, so that the updated systems can be checked by multiplying back.
  Matrix<T> h(n, n), v = random_matrix<T>(n, random, 1.0), e1 = random_matrix<T>(n, random, 0.2),
                     e2 = random_matrix<T>(n, random, 0.2), x(n, n), work(n, n), twice(n, n);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) h(i, j) = i == j;
  miller_update<T>(h.view(), v.view(), e1.view(), e2.view(), x.view(), work.view(), context(1));
  miller_update<T>(h.view(), v.view(), e1.view(), e2.view(), twice.view(), work.view(), context(3));
  CHECK(x.same_bits(twice), "n = %d", static_cast<int>(n));
  for (int64_t i = 0; i < n; ++i) {
    double row = 0;
    for (int64_t k = 0; k < n; ++k)
      if (k != i) row += double(e2(k, i)) * double(x(k, i));
    for (int64_t k = 0; k < n; ++k) {
      const double left = double(x(k, i)) + double(e1(k, i)) * double(x(i, i)) + (k == i ? row : 0.0);
      CHECK(std::abs(left - double(v(k, i))) < 10 * tolerance, "n = %d, (%d, %d)", static_cast<int>(n),
            static_cast<int>(k), static_cast<int>(i));
    }
  }
  Matrix<T> square(n, n, 1);
  product<T>({c.view()}, {h.view()}, square.view(), context(2));
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) CHECK(square(i, j) == c(i, j), "product with the identity");
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  for (const std::int64_t n : {0, 1, 2, 31, 33, 100}) {
    check<float>(n);
    check<double>(n);
  }
  return report("weights");
}
