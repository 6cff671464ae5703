// The density of the composite prior and its gradients against plain loops in double precision.
#include <algorithm>

#include "check.hpp"
#include "fastlae/composite_prior.hpp"

namespace fastlae::test {

using std::int64_t;

constexpr double kLog2Pi = 1.8378770664093454836;

/// log(sum of exp(l[c])), and the shares of the terms.
double mix(const double* l, double* shares) {
  const double most = std::max({l[0], l[1], l[2]});
  double sum = 0;
  for (int c = 0; c < 3; ++c) sum += shares[c] = std::exp(l[c] - most);
  for (int c = 0; c < 3; ++c) shares[c] /= sum;
  return most + std::log(sum);
}

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
      logvar(u, j) = static_cast<T>(3 * random());
    }
  }
  const double infinity = std::numeric_limits<double>::infinity();
  PriorParts parts{{std::log(0.15), std::log(0.75), std::log(0.1)}, 5.0, per_coordinate};
  if (without_wide) parts.log_weights[2] = -infinity;
  const auto size = static_cast<std::size_t>(rows);
  std::vector<T> density(size), density3(size);
  Matrix<T> dz(rows, n, 3), dz3(rows, n, 3), dmu(to_old ? rows : 0, n), dlogvar(to_old ? rows : 0, n, 1);
  Matrix<T> dmu3(to_old ? rows : 0, n), dlogvar3(to_old ? rows : 0, n, 1);
  composite_prior<T>(z.view(), mu.view(), logvar.view(), parts, density.data(), context(1));
  composite_prior<T>(z.view(), mu.view(), logvar.view(), parts, density3.data(), context(3));
  composite_prior_backward<T>(grad.data(), z.view(), mu.view(), logvar.view(), parts, dz.view(), dmu.view(),
                              dlogvar.view(), context(1));
  composite_prior_backward<T>(grad.data(), z.view(), mu.view(), logvar.view(), parts, dz3.view(), dmu3.view(),
                              dlogvar3.view(), context(3));
  CHECK(density == density3 && dz.same_bits(dz3) && dmu.same_bits(dmu3) && dlogvar.same_bits(dlogvar3),
        "threads change bits");
  CHECK(dz.intact() && dlogvar.intact(), "written between the rows");

  const double epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());
  const double wide = std::exp(-parts.wide_logvar);
  for (int64_t u = 0; u < rows; ++u) {
    const auto at = static_cast<std::size_t>(u);
    const auto logs = [&](int64_t j, double* l) {
      const double v = double(z(u, j)), away = v - double(mu(u, j));
      l[0] = -0.5 * (kLog2Pi + v * v);
      l[1] = -0.5 * (kLog2Pi + double(logvar(u, j)) + away * away * std::exp(-double(logvar(u, j))));
      l[2] = -0.5 * (kLog2Pi + parts.wide_logvar + v * v * wide);
    };
    double joint[3] = {parts.log_weights[0], parts.log_weights[1], parts.log_weights[2]}, shares[3], expected = 0;
    for (int64_t j = 0; j < n; ++j) {
      double l[3];
      logs(j, l);
      for (int c = 0; c < 3; ++c) {
        joint[c] += l[c];
        l[c] += parts.log_weights[c];
      }
      if (per_coordinate) expected += mix(l, shares);
    }
    double joint_shares[3];
    const double together = mix(joint, joint_shares);
    if (!per_coordinate) expected = together;
    const double size_of_sums = static_cast<double>(n) * 32 + 1;
    CHECK(std::abs(double(density[at]) - expected) <= 8 * epsilon * size_of_sums, "density %.9g, expected %.9g",
          double(density[at]), expected);
    for (int64_t j = 0; j < n; ++j) {
      double l[3];
      logs(j, l);
      for (int c = 0; c < 3; ++c) l[c] += parts.log_weights[c];
      mix(l, shares);
      const double* const p = per_coordinate ? shares : joint_shares;
      const double precision = std::exp(-double(logvar(u, j))), away = double(z(u, j)) - double(mu(u, j));
      const double old = p[1] * away * precision, g = double(grad[at]);
      // Joint shares carry the rounding of their sums.
      const double tolerance = 64 * epsilon * (1 + precision * 16) * (per_coordinate ? 1 : size_of_sums);
      CHECK(std::abs(double(dz(u, j)) - g * (-double(z(u, j)) * (p[0] + p[2] * wide) - old)) <= tolerance, "dz(%d, %d)",
            int(u), int(j));
      if (!to_old) continue;
      CHECK(std::abs(double(dmu(u, j)) - g * old) <= tolerance, "dmu(%d, %d)", int(u), int(j));
      CHECK(std::abs(double(dlogvar(u, j)) - g * 0.5 * p[1] * (away * away * precision - 1)) <= 8 * tolerance,
            "dlogvar(%d, %d)", int(u), int(j));
    }
  }
}

/// A variance so small that its inverse is beyond the numbers of T still gives finite numbers.
template <class T>
void check_extremes() {
  Matrix<T> z(1, 1), mu(1, 1), logvar(1, 1), dz(1, 1), none(0, 1);
  z(0, 0) = mu(0, 0) = T(1);
  logvar(0, 0) = T(-2000);
  const PriorParts parts{{std::log(0.15), std::log(0.75), std::log(0.1)}, 10.0, true};
  T density = 0;
  const T grad = 1;
  composite_prior<T>(z.view(), mu.view(), logvar.view(), parts, &density, context(1));
  composite_prior_backward<T>(&grad, z.view(), mu.view(), logvar.view(), parts, dz.view(), none.view(), none.view(),
                              context(1));
  CHECK(std::isfinite(density) && std::isfinite(dz(0, 0)), "density %g, gradient %g", double(density),
        double(dz(0, 0)));
  // Far from a narrow part, whose share is 0; and a third part as narrow, at a place that a vector fills up.
  const T far = std::numeric_limits<T>::max() > T(1e100) ? T(-650) : T(-85);
  for (const double wide : {10.0, -2000.0}) {
    Matrix<T> at(1, 21), from(1, 21), spread(1, 21), slopes(1, 21), to_mu(1, 21), to_logvar(1, 21);
    for (int64_t j = 0; j < 21; ++j) {
      at(0, j) = static_cast<T>(j - 7);
      from(0, j) = static_cast<T>(12 - 2 * j);
      spread(0, j) = far;
    }
    const PriorParts narrow{{std::log(0.15), std::log(0.75), std::log(0.1)}, wide, true};
    composite_prior<T>(at.view(), from.view(), spread.view(), narrow, &density, context(1));
    composite_prior_backward<T>(&grad, at.view(), from.view(), spread.view(), narrow, slopes.view(), to_mu.view(),
                                to_logvar.view(), context(1));
    bool finite = std::isfinite(density);
    for (int64_t j = 0; j < 21; ++j) {
      const bool peak = at(0, j) == T(0) && wide < 0;  // on top of the third part
      finite &= peak || (std::isfinite(slopes(0, j)) && std::isfinite(to_mu(0, j)) && std::isfinite(to_logvar(0, j)));
    }
    CHECK(finite, "wide log-variance %g", wide);
  }
  z(0, 0) = std::numeric_limits<T>::quiet_NaN();
  composite_prior<T>(z.view(), mu.view(), logvar.view(), parts, &density, context(1));
  CHECK(std::isnan(density), "NaN is lost");
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  for (const std::int64_t n : {0, 1, 5, 16, 31, 200, 1100})
    for (const bool per_coordinate : {false, true})
      for (const bool flag : {false, true}) {
        check<float>(40, n, per_coordinate, flag, flag);
        check<double>(40, n, per_coordinate, flag, !flag);
      }
  check<float>(0, 5, true, false, true);
  check_extremes<float>();
  check_extremes<double>();
  return report("composite_prior");
}
