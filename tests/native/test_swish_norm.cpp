// Swish and layer norm, and their gradients, against plain loops in double precision.
#include <algorithm>

#include "check.hpp"
#include "fastlae/swish_norm.hpp"

namespace fastlae::test {

using std::int64_t;

/// One row by the definition: s, and s normalised.
struct Row {
  std::vector<double> slope, s, normal;
  double mean = 0, scale = 0;

  Row(const std::vector<double>& t, double eps) {
    const auto n = static_cast<double>(t.size());
    for (const double v : t) {
      const double share = 1 / (1 + std::exp(-v));
      s.push_back(v * share);
      slope.push_back(share + v * share * (1 - share));
      mean += v * share / n;
    }
    double variance = 0;
    for (const double v : s) variance += (v - mean) * (v - mean) / n;
    scale = 1 / std::sqrt(variance + eps);
    for (const double v : s) normal.push_back((v - mean) * scale);
  }
};

template <class T>
void check(int64_t rows, int64_t n, bool connected, bool totalled) {
  const bool biased = connected != totalled;
  constexpr double eps = 0.1;
  Random random(static_cast<std::uint64_t>(rows * 1000 + n));
  Matrix<T> x(rows, n, 3), residual(connected ? rows : 0, n, 1), dy(rows, n, 2), dtotal(totalled ? rows : 0, n);
  std::vector<T> weight, bias, layer_bias;
  for (int64_t j = 0; j < n; ++j) {
    weight.push_back(static_cast<T>(random()));
    bias.push_back(static_cast<T>(random()));
    layer_bias.push_back(static_cast<T>(random()));
    for (int64_t u = 0; u < rows; ++u) {
      x(u, j) = static_cast<T>(j % 7 == 0 ? 200 * random() : 4 * random());  // far out, too, where exp would overflow
      dy(u, j) = static_cast<T>(random());
      if (connected) residual(u, j) = static_cast<T>(random());
      if (totalled) dtotal(u, j) = static_cast<T>(random());
    }
  }
  const auto size = static_cast<std::size_t>(rows);
  const auto run = [&](int threads, Matrix<T>& y, Matrix<T>& total, Matrix<T>& dx, Matrix<T>& dresidual,
                       std::vector<T>& dweight, std::vector<T>& dbias, std::vector<T>& dlayer_bias) {
    const T* const added = biased ? layer_bias.data() : nullptr;
    std::vector<T> mean(size), scale(size);
    swish_norm<T>(x.view(), added, residual.view(), weight.data(), bias.data(), eps, y.view(), total.view(),
                  mean.data(), scale.data(), context(threads));
    swish_norm_backward<T>(dy.view(), dtotal.view(), x.view(), added, residual.view(), weight.data(), mean.data(),
                           scale.data(), dx.view(), dresidual.view(), dweight.data(), dbias.data(),
                           biased ? dlayer_bias.data() : nullptr, context(threads));
  };
  Matrix<T> y(rows, n, 1), y3(rows, n, 1), dx(rows, n, 1), dx3(rows, n, 1);
  Matrix<T> total(totalled ? rows : 0, n), total3(totalled ? rows : 0, n);
  Matrix<T> dresidual(connected ? rows : 0, n, 2), dresidual3(connected ? rows : 0, n, 2);
  std::vector<T> dweight(weight.size()), dbias(dweight), dlayer(dweight), dweight3(dweight), dbias3(dweight),
      dlayer3(dweight);
  run(1, y, total, dx, dresidual, dweight, dbias, dlayer);
  run(3, y3, total3, dx3, dresidual3, dweight3, dbias3, dlayer3);
  CHECK(y.same_bits(y3) && total.same_bits(total3) && dx.same_bits(dx3) && dresidual.same_bits(dresidual3) &&
            dweight == dweight3 && dbias == dbias3 && dlayer == dlayer3,
        "threads change bits");
  CHECK(y.intact() && dx.intact() && dresidual.intact(), "written between the rows");

  const double epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());
  std::vector<double> of_weight(weight.size()), of_bias(weight.size()), of_layer(weight.size());
  for (int64_t u = 0; u < rows; ++u) {
    std::vector<double> t;
    for (int64_t j = 0; j < n; ++j)
      t.push_back(double(x(u, j)) + (biased ? double(layer_bias[static_cast<std::size_t>(j)]) : 0.0) +
                  (connected ? double(residual(u, j)) : 0.0));
    const Row row(t, eps);
    double sum = 0, along = 0;
    std::vector<double> g;
    for (int64_t j = 0; j < n; ++j) {
      const auto at = static_cast<std::size_t>(j);
      const double expected = row.normal[at] * double(weight[at]) + double(bias[at]);
      CHECK(std::abs(double(y(u, j)) - expected) <= 64 * epsilon * (1 + std::abs(row.normal[at])),
            "y(%d, %d) = %.9g, expected %.9g", int(u), int(j), double(y(u, j)), expected);
      if (totalled)
        CHECK(total(u, j) == (connected ? static_cast<T>(residual(u, j) + y(u, j)) : y(u, j)), "total(%d, %d)", int(u),
              int(j));
      const double given = double(dy(u, j)) + (totalled ? double(dtotal(u, j)) : 0.0);
      g.push_back(given * double(weight[at]));
      sum += g.back() / static_cast<double>(n);
      along += g.back() * row.normal[at] / static_cast<double>(n);
      of_weight[at] += given * row.normal[at];
      of_bias[at] += given;
    }
    for (int64_t j = 0; j < n; ++j) {
      const auto at = static_cast<std::size_t>(j);
      const double expected = row.scale * (g[at] - sum - row.normal[at] * along) * row.slope[at];
      const double tolerance = 256 * epsilon * (1 + std::abs(row.normal[at])) * (1 + row.scale);
      of_layer[at] += expected;
      CHECK(std::abs(double(dx(u, j)) - expected) <= tolerance, "dx(%d, %d) = %.9g, expected %.9g", int(u), int(j),
            double(dx(u, j)), expected);
      if (connected)
        CHECK(std::abs(double(dresidual(u, j)) - expected - (totalled ? double(dtotal(u, j)) : 0.0)) <= tolerance,
              "dresidual(%d, %d)", int(u), int(j));
    }
  }
  for (std::size_t j = 0; j < weight.size(); ++j) {
    const double tolerance = 256 * epsilon * static_cast<double>(rows + 1) * 8;
    CHECK(std::abs(double(dweight[j]) - of_weight[j]) <= tolerance, "dweight %d", int(j));
    CHECK(std::abs(double(dbias[j]) - of_bias[j]) <= tolerance, "dbias %d", int(j));
    if (biased) CHECK(std::abs(double(dlayer[j]) - of_layer[j]) <= 8 * tolerance, "dlayer_bias %d", int(j));
  }
}

/// What layer norm cannot hold is NaN, not a row of zeros.
template <class T>
void check_overflow() {
  Matrix<T> x(1, 5), none(0, 5), y(1, 5);
  std::vector<T> ones(5, T(1)), mean(1), scale(1);
  for (int64_t j = 0; j < 5; ++j) x(0, j) = j == 0 ? std::sqrt(std::numeric_limits<T>::max()) * T(4) : T(1);
  swish_norm<T>(x.view(), nullptr, none.view(), ones.data(), ones.data(), 0.1, y.view(), none.view(), mean.data(),
                scale.data(), context(1));
  CHECK(std::isnan(y(0, 1)), "%g", double(y(0, 1)));
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  for (const std::int64_t n : {1, 5, 8, 16, 31, 200})
    for (const bool connected : {false, true})
      for (const bool totalled : {false, true}) {
        check<float>(70, n, connected, totalled);
        check<double>(70, n, connected, totalled);
      }
  check<float>(0, 5, true, true);
  check_overflow<float>();
  check_overflow<double>();
  return report("swish_norm");
}
