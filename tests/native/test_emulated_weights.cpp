// Emulated kernels of csrc/cuda/weights.cu and product.cu against the CPU's.
#include <cmath>
#include <vector>

#include "emulated.hpp"
#include "fastlae/cuda/product.hpp"
#include "fastlae/cuda/weights.hpp"
#include "fastlae/weights.hpp"

namespace fastlae::test {

template <class T>
void fill(Matrix<T>& m, Random& random) {
  const MatrixView<T> view = m.view();
  for (int64_t i = 0; i < view.rows; ++i)
    for (int64_t j = 0; j < view.cols; ++j) view(i, j) = static_cast<T>(random());
}

template <class T>
void near(Matrix<T>& got, Matrix<T>& expected, double bound, const char* what) {
  const MatrixView<T> a = got.view(), b = expected.view();
  for (int64_t i = 0; i < a.rows; ++i)
    for (int64_t j = 0; j < a.cols; ++j)
      CHECK(std::abs(static_cast<double>(a(i, j)) - static_cast<double>(b(i, j))) <= bound, "%s (%d, %d): %g and %g",
            what, static_cast<int>(i), static_cast<int>(j), static_cast<double>(a(i, j)), static_cast<double>(b(i, j)));
  CHECK(got.intact(), "%s: written between rows", what);
}

template <class T>
void check(int64_t n) {
  Random random(static_cast<std::uint64_t>(n));
  Matrix<T> c(n, n, 2), v(n, n), e1(n, n, 1), e2(n, n);
  for (Matrix<T>* m : {&c, &v, &e1, &e2}) fill(*m, random);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) c(i, j) = i == j ? T(3) : j < i ? static_cast<T>(c(i, j) / T(n)) : c(j, i);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < i; ++j) c(j, i) = c(i, j);
  std::vector<double> alpha(static_cast<std::size_t>(n)), beta(alpha), scale(alpha);
  for (std::vector<double>* vector : {&alpha, &beta, &scale})
    for (double& x : *vector) x = random();
  const Device device(0);
  const double bound = sizeof(T) == 4 ? 1e-4 : 1e-10;
  for (const double* r : {static_cast<const double*>(nullptr), static_cast<const double*>(scale.data())}) {
    Matrix<T> got(n, n, 3), expected(n, n);
    diagonal_weights<T>(c.view(), alpha.data(), beta.data(), r, expected.view(), context(1));
    cuda::diagonal_weights<T>(c.view(), alpha.data(), beta.data(), r, got.view(), device.context());
    near(got, expected, 1e-6, "diagonal_weights");
    Matrix<T> own = c;
    cuda::diagonal_weights<T>(own.view(), alpha.data(), beta.data(), r, own.view(), device.context());
    near(own, expected, 1e-6, "diagonal_weights in place");
  }
  Matrix<T> got(n, n, 1), expected(n, n), work(n, n), cpu_work(n, n);
  miller_update<T>(c.view(), v.view(), e1.view(), e2.view(), expected.view(), cpu_work.view(), context(1));
  under_schedules([&] {
    cuda::miller_update<T>(c.view(), v.view(), e1.view(), e2.view(), got.view(), work.view(), device.context());
    near(got, expected, bound * static_cast<double>(n) * 20, "miller_update");
  });
}

template <class T>
void check_product(int64_t m, int64_t k, int64_t n, bool transpose_a, bool transpose_b) {
  Random random(3);
  Matrix<T> a(transpose_a ? k : m, transpose_a ? m : k, 1), b(transpose_b ? n : k, transpose_b ? k : n, 2);
  Matrix<T> c(m, n, 3), expected(m, n);
  fill(a, random);
  fill(b, random);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t d = 0; d < k; ++d)
        sum +=
            static_cast<double>(transpose_a ? a(d, i) : a(i, d)) * static_cast<double>(transpose_b ? b(j, d) : b(d, j));
      expected(i, j) = static_cast<T>(sum);
    }
  under_schedules([&] {
    cuda::product<T>({a.view(), transpose_a}, {b.view(), transpose_b}, c.view(), Device(0).context());
    near(c, expected, 1e-4, "product");
  });
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  check<float>(1);
  check<float>(70);
  check<double>(33);
  for (const bool transpose_a : {false, true})
    for (const bool transpose_b : {false, true}) {
      check_product<float>(65, 17, 130, transpose_a, transpose_b);
      check_product<double>(3, 40, 5, transpose_a, transpose_b);
    }
  check_product<float>(4, 0, 4, false, false);
  return report_emulated("weights");
}
