// The emulated kernels of csrc/cuda/composite_prior.cu against the CPU's.
#include <vector>

#include "emulated.hpp"
#include "fastlae/composite_prior.hpp"
#include "fastlae/cuda/composite_prior.hpp"

namespace fastlae::test {

template <class T>
void check(int64_t rows, int64_t n, bool per_coordinate, bool without_wide, bool to_old) {
  Random random(static_cast<std::uint64_t>(rows * 1000 + n));
  Matrix<T> z(rows, n, 2), mu(rows, n, 1), logvar(rows, n);
  std::vector<T> grad;
  for (int64_t u = 0; u < rows; ++u) {
    grad.push_back(static_cast<T>(random()));
    for (int64_t j = 0; j < n; ++j) {
      z(u, j) = static_cast<T>(3 * random());
      mu(u, j) = static_cast<T>(2 * random());
      logvar(u, j) = static_cast<T>(j % 11 == 5 ? -200 : 3 * random());  // a narrow part, too
    }
  }
  PriorParts parts{{std::log(0.15), std::log(0.75), std::log(0.1)}, 5.0, per_coordinate};
  if (without_wide) parts.log_weights[2] = -std::numeric_limits<double>::infinity();
  const int64_t old = to_old ? rows : 0;
  std::vector<T> cpu(static_cast<std::size_t>(rows)), there(cpu);
  Matrix<T> dz(rows, n, 3), dmu(old, n), dlogvar(old, n, 1), dz2(rows, n, 1), dmu2(old, n), dlogvar2(old, n, 2);
  composite_prior<T>(z.view(), mu.view(), logvar.view(), parts, cpu.data(), context(1));
  composite_prior_backward<T>(grad.data(), z.view(), mu.view(), logvar.view(), parts, dz.view(), dmu.view(),
                              dlogvar.view(), context(1));
  const double epsilon = 128 * double(std::numeric_limits<T>::epsilon());
  const auto near = [&](T found, T expected, const char* what) {
    CHECK(std::abs(double(found) - double(expected)) <= epsilon * (1 + std::abs(double(expected))),
          "%s: %.9g, expected %.9g", what, double(found), double(expected));
  };
  under_schedules([&] {
    const Device device(0);
    cuda::composite_prior<T>(z.view(), mu.view(), logvar.view(), parts, there.data(), device.context());
    cuda::composite_prior_backward<T>(grad.data(), z.view(), mu.view(), logvar.view(), parts, dz2.view(), dmu2.view(),
                                      dlogvar2.view(), device.context());
    CHECK(dz2.intact() && dlogvar2.intact(), "written between rows");
    for (int64_t u = 0; u < rows; ++u) {
      const auto at = static_cast<std::size_t>(u);
      near(there[at], cpu[at], "density");
      for (int64_t j = 0; j < n; ++j) {
        near(dz2(u, j), dz(u, j), "dz");
        if (to_old) near(dmu2(u, j), dmu(u, j), "dmu");
        if (to_old) near(dlogvar2(u, j), dlogvar(u, j), "dlogvar");
      }
    }
  });
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  for (const std::int64_t n : {1, 31, 128, 300})
    for (const bool per_coordinate : {false, true})
      for (const bool without_wide : {false, true}) {
        check<float>(5, n, per_coordinate, without_wide, n > 1);
        check<double>(9, n, per_coordinate, without_wide, n > 31);
      }
  check<float>(0, 5, true, false, true);
  return report_emulated("composite_prior");
}
