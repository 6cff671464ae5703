// Emulated kernels of csrc/cuda/spd_inverse.cu against the CPU's.
#include <cmath>
#include <limits>
#include <vector>

#include "emulated.hpp"
#include "fastlae/cuda/spd_inverse.hpp"
#include "fastlae/spd_inverse.hpp"

namespace fastlae::test {

/// X^T X + 1 of random X, with nonsense above the diagonal.
template <class T>
Matrix<T> positive_definite(int64_t n, Random& random) {
  std::vector<double> x(static_cast<std::size_t>(n * n));
  for (double& v : x) v = random();
  Matrix<T> a(n, n, 2);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j <= i; ++j) {
      double sum = i == j ? 1.0 : 0.0;
      for (int64_t k = 0; k < n; ++k)
        sum += x[static_cast<std::size_t>(k * n + i)] * x[static_cast<std::size_t>(k * n + j)];
      a(i, j) = static_cast<T>(sum);
      if (j < i) a(j, i) = T(1e6);
    }
  return a;
}

template <class T>
void check(int64_t n, int64_t tile, cuda::Precision precision) {
  Random random(static_cast<std::uint64_t>(n + tile));
  const Matrix<T> a = positive_definite<T>(n, random);
  Matrix<T> expected = a;
  spd_inverse<T>(expected.view(), context(1));
  double largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, std::abs(static_cast<double>(expected(i, i))));
  under_schedules([&] {
    Matrix<T> got = a;
    std::int32_t info = 7;
    const Device device(cuda::spd_inverse_workspace(n, tile, sizeof(T), precision));
    cuda::spd_inverse<T>(got.view(), tile, &info, precision, device.context());
    CHECK(info == -1, "n %d tile %d: info %d", static_cast<int>(n), static_cast<int>(tile), info);
    CHECK(got.intact(), "n %d tile %d: written between rows", static_cast<int>(n), static_cast<int>(tile));
    const double bound = largest * (sizeof(T) == 4 ? 2e-3 : 1e-11);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) {
        CHECK(std::abs(static_cast<double>(got(i, j)) - static_cast<double>(expected(i, j))) <= bound,
              "n %d tile %d (%d, %d): %g and %g", static_cast<int>(n), static_cast<int>(tile), static_cast<int>(i),
              static_cast<int>(j), static_cast<double>(got(i, j)), static_cast<double>(expected(i, j)));
        CHECK(got(i, j) == got(j, i), "not symmetric");
      }
  });
}

template <class T>
void check_failure(int64_t n, int64_t tile, int64_t bad) {
  Matrix<T> a(n, n);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) a(i, j) = i == j ? T(i == bad ? -1 : 2) : T(0);
  std::int32_t info = 0;
  const Device device(cuda::spd_inverse_workspace(n, tile, sizeof(T), cuda::Precision::kFull));
  cuda::spd_inverse<T>(a.view(), tile, &info, cuda::Precision::kFull, device.context());
  CHECK(info == bad, "info %d, expected %d", info, static_cast<int>(bad));
}

/// A step of Newton's method takes an error of 1 % to some 0.01 %, and says how large it was.
template <class T>
void check_refinement(int64_t n) {
  Random random(static_cast<std::uint64_t>(n));
  Matrix<T> a = positive_definite<T>(n, random);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < i; ++j) a(j, i) = a(i, j);
  Matrix<T> exact = a;
  spd_inverse<T>(exact.view(), context(1));
  under_schedules([&] {
    Matrix<T> c = exact;
    for (int64_t i = 0; i < n; ++i) c(i, i) *= T(1.001);
    double worst = -1;
    const Device device(cuda::refine_inverse_workspace(n, sizeof(T)));
    cuda::refine_inverse<T>(a.view(), c.view(), &worst, device.context());
    CHECK(worst > 1e-4 && worst < 0.9, "residual %g", worst);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j)
        CHECK(std::abs(static_cast<double>(c(i, j) - exact(i, j))) < 2e-4, "(%d, %d): %g and %g", static_cast<int>(i),
              static_cast<int>(j), static_cast<double>(c(i, j)), static_cast<double>(exact(i, j)));
    CHECK(c.intact(), "written between rows");
  });
}

template <class T>
void check_asymmetry(int64_t n) {
  Random random(5);
  Matrix<T> a(n, n, 1);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j <= i; ++j) a(i, j) = a(j, i) = static_cast<T>(i == j ? 4 : random());
  double worst = -1;
  const Device device(0);
  cuda::asymmetry<T>(a.view(), &worst, device.context());
  CHECK(worst == 0, "symmetric, but %g", worst);
  a(n - 1, 0) += T(1);
  cuda::asymmetry<T>(a.view(), &worst, device.context());
  CHECK(std::abs(worst - asymmetry<T>(a.view(), context(1))) < 1e-12, "%g", worst);
  a(0, n - 1) = std::numeric_limits<T>::quiet_NaN();
  cuda::asymmetry<T>(a.view(), &worst, device.context());
  CHECK(std::isnan(worst), "%g", worst);
  a(0, n - 1) = a(n - 1, 0) = std::numeric_limits<T>::infinity();
  cuda::asymmetry<T>(a.view(), &worst, device.context());
  CHECK(std::isnan(worst), "%g", worst);
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  using fastlae::cuda::Precision;
  check<float>(1, 32, Precision::kFull);
  check<float>(64, 64, Precision::kFull);
  check<float>(130, 32, Precision::kFull);
  check<float>(200, 16, Precision::kFull);   // several strips on either side
  check<float>(150, 150, Precision::kFull);  // one tile, by halves
  check<double>(100, 7, Precision::kFull);
  check<double>(90, 70, Precision::kFull);
  check<double>(129, 129, Precision::kFull);
  check<float>(75, 30, Precision::kTf32x3);
  check_failure<float>(50, 16, 0);
  check_failure<float>(50, 16, 33);
  check_failure<double>(150, 150, 149);
  check_failure<float>(300, 300, 290);
  check_refinement<float>(40);
  check_refinement<double>(70);
  check_asymmetry<float>(2);
  check_asymmetry<float>(70);
  check_asymmetry<double>(33);
  return report_emulated("spd_inverse");
}
