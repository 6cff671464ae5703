// The sparse linear layer and its gradient against plain loops in double precision.
#include "check.hpp"
#include "fastlae/sparse_linear.hpp"

namespace fastlae::test {

using std::int64_t;

template <class T>
void check(int64_t batch, int64_t items, int64_t hidden, double density) {
  Random random(static_cast<std::uint64_t>(batch * 100 + items * 10 + hidden));
  const Csr<T> rows = interactions<T>(batch, items, density, random);
  Matrix<T> w(items, hidden, 3), g(batch, hidden, 1);
  std::vector<T> bias;
  for (int64_t j = 0; j < hidden; ++j) bias.push_back(static_cast<T>(random()));
  for (int64_t i = 0; i < items; ++i)
    for (int64_t j = 0; j < hidden; ++j) w(i, j) = static_cast<T>(random());
  for (int64_t u = 0; u < batch; ++u)
    for (int64_t j = 0; j < hidden; ++j) g(u, j) = static_cast<T>(random());
  for (const bool valued : {false, true})
    for (const bool biased : {false, true}) {
      const CsrView<T> x{batch, items, rows.indptr.data(), rows.indices.data(), valued ? rows.values.data() : nullptr};
      const T* const b = biased ? bias.data() : nullptr;
      Matrix<T> y(batch, hidden, 2), y3(batch, hidden, 2), d(items, hidden, 2), d3(items, hidden, 2);
      sparse_linear<T>(x, w.view(), b, y.view(), context(1));
      sparse_linear<T>(x, w.view(), b, y3.view(), context(3));
      sparse_linear_backward<T>(x, g.view(), d.view(), context(1));
      sparse_linear_backward<T>(x, g.view(), d3.view(), context(3));
      CHECK(y.intact() && y.same_bits(y3) && d.intact() && d.same_bits(d3), "%d x %d, hidden %d",
            static_cast<int>(batch), static_cast<int>(items), static_cast<int>(hidden));
      const double tolerance =
          static_cast<double>(batch + items + 8) * static_cast<double>(std::numeric_limits<T>::epsilon());
      std::vector<double> gradient(static_cast<std::size_t>(items * hidden), 0.0);
      for (int64_t u = 0; u < batch; ++u)
        for (int64_t j = 0; j < hidden; ++j) {
          double sum = biased ? double(bias[static_cast<std::size_t>(j)]) : 0.0;
          for (int64_t e = x.indptr[u]; e < x.indptr[u + 1]; ++e) {
            sum += double(x.value(e)) * double(w(x.indices[e], j));
            gradient[static_cast<std::size_t>(x.indices[e] * hidden + j)] += double(x.value(e)) * double(g(u, j));
          }
          CHECK(std::abs(sum - double(y(u, j))) <= tolerance, "(%d, %d)", static_cast<int>(u), static_cast<int>(j));
        }
      for (int64_t i = 0; i < items; ++i)
        for (int64_t j = 0; j < hidden; ++j)
          CHECK(std::abs(gradient[static_cast<std::size_t>(i * hidden + j)] - double(d(i, j))) <= tolerance,
                "gradient (%d, %d)", static_cast<int>(i), static_cast<int>(j));
    }
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  for (const std::int64_t hidden : {0, 1, 31, 128, 200}) {
    check<float>(20, 60, hidden, 0.1);
    check<double>(20, 60, hidden, 0.1);
  }
  check<float>(0, 5, 3, 0.1);
  check<float>(5, 0, 3, 0.1);
  check<float>(1, 1, 1, 1.0);
  check<float>(100, 500, 40, 0.2);
  return report("sparse_linear");
}
