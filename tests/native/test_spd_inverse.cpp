// The inverse: A times it is the identity, errors name the row, threads change no bit, and a poll ends it.
#include "check.hpp"
#include "fastlae/errors.hpp"
#include "fastlae/spd_inverse.hpp"

namespace fastlae::test {

using std::int64_t;

/// Diagonal between 1 and 2 plus a product of rank 4: condition number below 4 n, built in n^2.
template <class T>
Matrix<T> positive_definite(int64_t n, int64_t gap = 0) {
  Random random(static_cast<std::uint64_t>(n));
  std::vector<double> u(static_cast<std::size_t>(4 * n));
  for (double& x : u) x = random();
  Matrix<T> a(n, n, gap);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j <= i; ++j) {
      double sum = i == j ? 1.5 + random() / 2 : 0.0;
      for (int64_t r = 0; r < 4; ++r)
        sum += u[static_cast<std::size_t>(4 * i + r)] * u[static_cast<std::size_t>(4 * j + r)];
      a(i, j) = a(j, i) = static_cast<T>(sum);
    }
  return a;
}

/// Largest entry of A C v - v over a few vectors v with entries -1 and 1, relative to what rounding allows.
template <class T>
double residual(Matrix<T>& a, Matrix<T>& c, int64_t n) {
  Random random(7);
  double worst = 0;
  const double scale = static_cast<double>(std::numeric_limits<T>::epsilon()) * static_cast<double>(n + 8);
  for (int round = 0; round < 3; ++round) {
    std::vector<double> v(static_cast<std::size_t>(n)), w(static_cast<std::size_t>(n), 0.0);
    for (double& x : v) x = random() < 0 ? -1 : 1;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j)
        w[static_cast<std::size_t>(i)] += static_cast<double>(c(i, j)) * v[static_cast<std::size_t>(j)];
    for (int64_t i = 0; i < n; ++i) {
      double sum = -v[static_cast<std::size_t>(i)], size = 1;
      for (int64_t j = 0; j < n; ++j) {
        const double term = static_cast<double>(a(i, j)) * w[static_cast<std::size_t>(j)];
        sum += term;
        size += std::abs(term);
      }
      worst = std::max(worst, std::isnan(sum) ? 1e300 : std::abs(sum) / (scale * size));
    }
  }
  return worst;
}

template <class T>
void inverts(int64_t n) {
  Matrix<T> a = positive_definite<T>(n, 0);
  Matrix<T> first(n, n, 3);
  for (const int threads : {1, 2, 3, 8}) {
    Matrix<T> c(n, n, 3);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j)  // only the lower triangle is read
        c(i, j) = j <= i ? a(i, j) : std::numeric_limits<T>::quiet_NaN();
    spd_inverse<T>(c.view(), context(threads));
    CHECK(c.intact(), "n %d, threads %d", static_cast<int>(n), threads);
    if (threads > 1) {
      CHECK(c.same_bits(first), "n %d, threads %d", static_cast<int>(n), threads);
      continue;
    }
    first = c;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < i; ++j)
        if (!(c(i, j) == c(j, i))) {
          CHECK(c(i, j) == c(j, i), "n %d at %d %d", static_cast<int>(n), static_cast<int>(i), static_cast<int>(j));
          return;
        }
    const double error = residual(a, c, n);
    CHECK(error < 4, "n %d: residual %g", static_cast<int>(n), error);
  }
}

/// The row that the error names, or -1 if there is none.
template <class T>
int64_t failing_row(Matrix<T>& a, int threads) {
  try {
    spd_inverse<T>(a.view(), context(threads));
  } catch (const NotPositiveDefinite& error) {
    return error.index;
  }
  return -1;
}

template <class T>
void names_the_row() {
  for (const int64_t n : {1, 2, 48, 49, 97, 481, 700})
    for (const int64_t row : {int64_t(0), n / 2, n - 1})
      for (const int threads : {1, 3}) {
        Matrix<T> negative = positive_definite<T>(n);
        negative(row, row) = T(-1);
        CHECK(failing_row(negative, threads) == row, "n %d, row %d", static_cast<int>(n), static_cast<int>(row));
        Matrix<T> not_a_number = positive_definite<T>(n);
        not_a_number(row, row / 2) = std::numeric_limits<T>::quiet_NaN();
        CHECK(failing_row(not_a_number, threads) == row, "n %d, row %d", static_cast<int>(n), static_cast<int>(row));
        Matrix<T> infinite = positive_definite<T>(n);
        infinite(row, row) = std::numeric_limits<T>::infinity();
        CHECK(failing_row(infinite, threads) == row, "n %d, row %d", static_cast<int>(n), static_cast<int>(row));
      }
  Matrix<T> zero(1, 1);
  zero(0, 0) = T(0);
  CHECK(failing_row(zero, 1) == 0, "the zero matrix");
}

void ends_when_asked() {
  for (const int threads : {1, 3}) {
    Matrix<double> a = positive_definite<double>(3000);
    Context c = context(threads);
    int calls = 0;
    double last = 0;
    bool ordered = true;
    c.poll = [&](double done) {
      ordered = ordered && done >= last && done <= 1;
      last = done;
      return ++calls == 2;  // a call every 50 ms, out of several 100
    };
    bool cancelled = false;
    try {
      spd_inverse<double>(a.view(), c);
    } catch (const Cancelled&) {
      cancelled = true;
    }
    CHECK(cancelled && calls == 2 && ordered, "threads %d, %d calls, at %g", threads, calls, last);
  }
}

template <class T>
void measures_asymmetry() {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const int64_t n : {0, 1, 63, 65, 700}) {
    Matrix<T> a = positive_definite<T>(n, 1);
    CHECK(asymmetry<T>(a.view(), context(2)) == 0, "n %d", static_cast<int>(n));
    if (n < 2) continue;
    a(n - 1, n - 1) = T(4);
    a(n - 2, n - 2) = T(1);
    a(n - 1, n - 2) = a(n - 2, n - 1) + T(0.5);
    const double got = asymmetry<T>(a.view(), context(2));
    CHECK(std::abs(got - 0.25) < 1e-6, "n %d: %g", static_cast<int>(n), got);
    a(0, 1) = static_cast<T>(nan);  // a difference found later must not hide it
    CHECK(std::isnan(asymmetry<T>(a.view(), context(2))), "n %d", static_cast<int>(n));
  }
}

template <class T>
void all() {
  for (const int64_t n : {0, 1, 2, 47, 48, 49, 95, 97, 480, 481, 1000}) inverts<T>(n);
  names_the_row<T>();
  measures_asymmetry<T>();
}

}  // namespace fastlae::test

int main() {
  fastlae::test::all<float>();
  fastlae::test::all<double>();
  fastlae::test::ends_when_asked();
  return fastlae::test::report("spd_inverse");
}
