// The multinomial likelihood, of scores and fused with a layer, against plain loops in double precision; and the
// exponential that it is made of.
#include <algorithm>

#include "check.hpp"
#include "fastlae/multinomial.hpp"
#include "simd/softmax_rows.hpp"

namespace fastlae::test {

using std::int64_t;

template <class T>
constexpr double kEpsilon = static_cast<double>(std::numeric_limits<T>::epsilon());

/// The exponential over its whole range: within 2 units in the last place, 0 below, and NaN stays.
template <class T>
void check_exponential(double least) {
  const auto& kernel = simd::softmax_kernel<T>();
  constexpr int64_t n = 200003;
  std::vector<T> z, out(n);
  for (int64_t i = 0; i < n; ++i) z.push_back(static_cast<T>(least * static_cast<double>(i) / static_cast<double>(n)));
  const T sum = kernel.exp_sum(n, z.data(), T(0), out.data());
  double worst = 0, exact = 0;
  for (int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const double expected = std::exp(static_cast<double>(z[at]));
    exact += expected;
    worst = std::max(worst, std::abs(static_cast<double>(out[at]) - expected) / expected);
  }
  CHECK(worst <= 2 * kEpsilon<T>, "relative error %.3g", worst);
  CHECK(std::abs(static_cast<double>(sum) - exact) <= 1e-4 * exact, "sum %.9g, expected %.9g", double(sum), exact);
  CHECK(kernel.sum_exp(n, z.data(), T(0)) == sum, "the sum depends on whether it is written");
  const T infinity = std::numeric_limits<T>::infinity();
  for (const int64_t length : {1, 5, 16, 17, 70}) {
    std::vector<T> row(static_cast<std::size_t>(length), T(-1)), made(row);
    row.back() = -infinity;
    CHECK(kernel.max(length, row.data()) == (length == 1 ? -infinity : T(-1)), "length %d", static_cast<int>(length));
    kernel.exp_sum(length, row.data(), T(0), made.data());
    CHECK(made.back() == T(0), "exp(-infinity) is %g", double(made.back()));
    row.back() = std::numeric_limits<T>::quiet_NaN();
    CHECK(std::isnan(kernel.sum_exp(length, row.data(), T(0))), "NaN is lost in a row of %d", static_cast<int>(length));
    kernel.scaled_exp(length, row.data(), nullptr, T(0), T(0), made.data());
    CHECK(std::all_of(made.begin(), made.end(), [](T v) { return v == T(0); }), "a scale of 0 does not hide NaN");
  }
  CHECK(kernel.max(0, z.data()) == -infinity && kernel.sum_exp(0, z.data(), T(0)) == T(0), "an empty row");
}

template <class T>
std::vector<double> softmax(Matrix<T>& z, int64_t u, int64_t n, double& lse) {
  std::vector<double> p;
  double best = -std::numeric_limits<double>::infinity(), sum = 0;
  for (int64_t i = 0; i < n; ++i) best = std::max(best, double(z(u, i)));
  for (int64_t i = 0; i < n; ++i) p.push_back(std::exp(double(z(u, i)) - best));
  for (const double v : p) sum += v;
  for (double& v : p) v /= sum;
  lse = best + std::log(sum);
  return p;
}

/// A batch of weights whose row 3, 8, ... are empty, and an upstream gradient.
template <class T>
struct Batch {
  Csr<T> rows;
  std::vector<T> grad;
  CsrView<T> x;

  Batch(int64_t batch, int64_t n, bool valued, Random& random) : rows(interactions<T>(batch, n, 0.1, random)) {
    for (T& v : rows.values) v = std::abs(v) + T(0.1);
    for (int64_t u = 0; u < batch; ++u) grad.push_back(static_cast<T>(random()));
    x = {batch, n, rows.indptr.data(), rows.indices.data(), valued ? rows.values.data() : nullptr};
  }
  double total(int64_t u) const {
    double sum = 0;
    for (int64_t e = x.indptr[u]; e < x.indptr[u + 1]; ++e) sum += double(x.value(e));
    return sum;
  }
  double at(int64_t u, int64_t i) const {
    for (int64_t e = x.indptr[u]; e < x.indptr[u + 1]; ++e)
      if (x.indices[e] == i) return double(x.value(e));
    return 0;
  }
};

template <class T>
void check_scores(int64_t batch, int64_t n, bool valued) {
  Random random(static_cast<std::uint64_t>(batch * 7 + n));
  const Batch<T> data(batch, n, valued, random);
  Matrix<T> z(batch, n, 3);
  for (int64_t u = 0; u < batch; ++u)
    for (int64_t i = 0; i < n; ++i) z(u, i) = static_cast<T>(8 * random());
  std::vector<T> loss(static_cast<std::size_t>(batch)), lse(loss), loss3(loss), lse3(loss);
  multinomial_nll<T>(z.view(), data.x, loss.data(), lse.data(), context(1));
  multinomial_nll<T>(z.view(), data.x, loss3.data(), lse3.data(), context(3));
  CHECK(loss == loss3 && lse == lse3, "threads change bits");
  Matrix<T> dz(batch, n, 2), dz3(batch, n, 2);
  multinomial_nll_backward<T>(data.grad.data(), lse.data(), z.view(), data.x, dz.view(), context(1));
  multinomial_nll_backward<T>(data.grad.data(), lse.data(), z.view(), data.x, dz3.view(), context(3));
  CHECK(dz.intact() && dz.same_bits(dz3), "threads change bits");
  for (int64_t u = 0; u < batch; ++u) {
    const auto at = static_cast<std::size_t>(u);
    double exact = 0;
    const std::vector<double> p = softmax(z, u, n, exact);
    double expected = data.total(u) == 0 ? 0 : data.total(u) * exact;
    for (int64_t e = data.x.indptr[u]; e < data.x.indptr[u + 1]; ++e)
      expected -= double(data.x.value(e)) * double(z(u, data.x.indices[e]));
    const double size = 32 * kEpsilon<T> * (1 + data.total(u) * (std::abs(exact) + 8));
    CHECK(std::abs(expected - double(loss[at])) <= size, "loss %d: %.9g, expected %.9g", static_cast<int>(u),
          double(loss[at]), expected);
    for (int64_t i = 0; i < n; ++i) {
      const double slope = double(data.grad[at]) * (data.total(u) * p[static_cast<std::size_t>(i)] - data.at(u, i));
      CHECK(std::abs(slope - double(dz(u, i))) <= 32 * kEpsilon<T> * (1 + data.total(u)), "gradient (%d, %d)",
            static_cast<int>(u), static_cast<int>(i));
    }
  }
}

template <class T>
void check_fused(int64_t batch, int64_t n, int64_t hidden, bool biased) {
  Random random(static_cast<std::uint64_t>(batch * 7 + n + hidden));
  const Batch<T> data(batch, n, biased, random);
  Matrix<T> z(batch, hidden, 1), w(n, hidden, 2), scores(batch, n);
  std::vector<T> bias;
  for (int64_t i = 0; i < n; ++i) bias.push_back(static_cast<T>(3 * random()));
  for (int64_t u = 0; u < batch; ++u)
    for (int64_t l = 0; l < hidden; ++l) z(u, l) = static_cast<T>(random());
  for (int64_t i = 0; i < n; ++i)
    for (int64_t l = 0; l < hidden; ++l) w(i, l) = static_cast<T>(random());
  for (int64_t u = 0; u < batch; ++u)
    for (int64_t i = 0; i < n; ++i) {
      double sum = biased ? double(bias[static_cast<std::size_t>(i)]) : 0.0;
      for (int64_t l = 0; l < hidden; ++l) sum += double(z(u, l)) * double(w(i, l));
      scores(u, i) = static_cast<T>(sum);
    }
  const T* const b = biased ? bias.data() : nullptr;
  const double tolerance = 64 * kEpsilon<T> * static_cast<double>(hidden + 8);
  std::vector<T> lse(static_cast<std::size_t>(batch)), lse3(lse), alone(lse);
  Matrix<T> mean(batch, hidden, 3), mean3(batch, hidden, 3);
  softmax_mean<T>(z.view(), w.view(), b, lse.data(), mean.view(), context(1));
  softmax_mean<T>(z.view(), w.view(), b, lse3.data(), mean3.view(), context(3));
  softmax_mean<T>(z.view(), w.view(), b, alone.data(), {}, context(2));
  CHECK(lse == lse3 && lse == alone && mean.intact() && mean.same_bits(mean3), "threads change bits");
  Matrix<T> dw(n, hidden, 2), dw3(n, hidden, 2);
  std::vector<T> db(static_cast<std::size_t>(n)), db3(db), db_alone(db);
  const T* const g = data.grad.data();
  linear_multinomial_nll_backward<T>(g, lse.data(), z.view(), w.view(), b, data.x, dw.view(), db.data(), context(1));
  linear_multinomial_nll_backward<T>(g, lse.data(), z.view(), w.view(), b, data.x, dw3.view(), db3.data(), context(3));
  linear_multinomial_nll_backward<T>(g, lse.data(), z.view(), w.view(), b, data.x, {}, db_alone.data(), context(3));
  CHECK(db == db3 && db == db_alone && dw.intact() && dw.same_bits(dw3), "threads change bits");
  std::vector<double> to_w(static_cast<std::size_t>(n * hidden), 0.0), to_b(static_cast<std::size_t>(n), 0.0);
  double weight = 1;
  for (int64_t u = 0; u < batch; ++u) {
    double exact = 0;
    const std::vector<double> p = softmax(scores, u, n, exact);
    weight += data.total(u);
    CHECK(std::abs(exact - double(lse[static_cast<std::size_t>(u)])) <= tolerance * (1 + std::abs(exact)), "lse %d",
          static_cast<int>(u));
    for (int64_t l = 0; l < hidden; ++l) {
      double expected = 0;
      for (int64_t i = 0; i < n; ++i) expected += p[static_cast<std::size_t>(i)] * double(w(i, l));
      CHECK(std::abs(expected - double(mean(u, l))) <= tolerance, "mean (%d, %d): %.9g, expected %.9g",
            static_cast<int>(u), static_cast<int>(l), double(mean(u, l)), expected);
    }
    for (int64_t i = 0; i < n; ++i) {
      const double slope = double(data.grad[static_cast<std::size_t>(u)]) *
                           (data.total(u) * p[static_cast<std::size_t>(i)] - data.at(u, i));
      to_b[static_cast<std::size_t>(i)] += slope;
      for (int64_t l = 0; l < hidden; ++l) to_w[static_cast<std::size_t>(i * hidden + l)] += slope * double(z(u, l));
    }
  }
  for (int64_t i = 0; i < n; ++i) {
    CHECK(std::abs(to_b[static_cast<std::size_t>(i)] - double(db[static_cast<std::size_t>(i)])) <= tolerance * weight,
          "bias %d", static_cast<int>(i));
    for (int64_t l = 0; l < hidden; ++l)
      CHECK(std::abs(to_w[static_cast<std::size_t>(i * hidden + l)] - double(dw(i, l))) <= tolerance * weight,
            "weight (%d, %d)", static_cast<int>(i), static_cast<int>(l));
  }
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  check_exponential<float>(-86.9);
  check_exponential<double>(-707.9);
  for (const std::int64_t n : {1, 15, 64, 5000})
    for (const bool valued : {false, true}) {
      check_scores<float>(6, n, valued);
      check_scores<double>(6, n, valued);
    }
  check_scores<float>(0, 5, true);
  for (const bool biased : {false, true}) {
    check_fused<float>(6, 40, 5, biased);
    check_fused<double>(6, 40, 5, biased);
    check_fused<float>(1, 1, 1, biased);
    check_fused<float>(0, 5, 3, biased);
    check_fused<float>(3, 4500, 17, biased);  // parts of the items
    check_fused<float>(260, 500, 9, biased);  // blocks of rows and of items
  }
  return report("multinomial");
}
