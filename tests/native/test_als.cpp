// Rows of alternating least squares against normal equations that are multiplied back in double precision.
#include "check.hpp"
#include "fastlae/als.hpp"
#include "fastlae/errors.hpp"
#include "fastlae/product.hpp"

namespace fastlae::test {

using std::int64_t;

template <class T>
void check(int64_t rows, int64_t columns, int64_t others, int64_t dim) {
  Random random(static_cast<std::uint64_t>(rows * 1000 + columns * 10 + dim));
  const Csr<T> first = interactions<T>(rows, columns, 0.1, random), second = interactions<T>(rows, others, 0.2, random);
  Matrix<T> f(columns, dim, 1), g(others, dim), prior(rows, dim, 2), shared(dim, dim);
  for (auto* m : {&f, &g, &prior})
    for (int64_t i = 0; i < m->view().rows; ++i)
      for (int64_t j = 0; j < dim; ++j) (*m)(i, j) = static_cast<T>(random());
  transposed_product<T>(f.view(), f.view(), shared.view(), context(2));
  std::vector<T> weights, targets, ridge;
  for (std::size_t k = 0; k < first.indices.size(); ++k) {
    weights.push_back(static_cast<T>(random() + 2));
    targets.push_back(static_cast<T>(random()));
  }
  for (int64_t r = 0; r < rows; ++r) ridge.push_back(static_cast<T>(random() + 2));
  const CsrView<T> x{rows, columns, first.indptr.data(), first.indices.data(), weights.data()};
  const CsrView<T> z{rows, others, second.indptr.data(), second.indices.data(), nullptr};
  const AlsTerm<T> terms[2] = {{x, T(1), targets.data(), T(0), f.view()}, {z, T(0.5), nullptr, T(1), g.view()}};
  for (const int count : {1, 2})
    for (const bool with_prior : {false, true})
      for (const int steps : {0, static_cast<int>(3 * dim + 10)}) {
        Matrix<T> p(rows, dim, 1), again(rows, dim, 1);
        for (auto* m : {&p, &again})
          for (int64_t i = 0; i < rows; ++i)
            for (int64_t j = 0; j < dim; ++j) (*m)(i, j) = T(0.25);
        MatrixView<const T> start;
        if (with_prior) start = prior.view();
        als_rows<T>(terms, count, shared.view(), ridge.data(), start, p.view(), steps, context(1));
        als_rows<T>(terms, count, shared.view(), ridge.data(), start, again.view(), steps, context(5));
        CHECK(p.intact() && p.same_bits(again), "dim %d, %d steps", static_cast<int>(dim), steps);
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t i = 0; i < dim; ++i) {
            double left = double(ridge[static_cast<std::size_t>(r)]) * double(p(r, i)), size = std::abs(left);
            double right = with_prior ? double(prior(r, i)) : 0.0;
            bool any = with_prior;
            for (int64_t j = 0; j < dim; ++j) {
              left += double(shared(i, j)) * double(p(r, j));
              size += std::abs(double(shared(i, j)) * double(p(r, j)));
            }
            for (int t = 0; t < count; ++t)
              for (int64_t k = terms[t].x.indptr[r]; k < terms[t].x.indptr[r + 1]; ++k) {
                any = true;
                const T* const row = terms[t].fixed.row(terms[t].x.indices[k]);
                const double w = t == 0 ? double(weights[static_cast<std::size_t>(k)]) : 0.5;
                double inner = 0;
                for (int64_t j = 0; j < dim; ++j) inner += double(row[j]) * double(p(r, j));
                left += w * inner * double(row[i]);
                size += std::abs(w * inner * double(row[i]));
                const double target = t == 0 ? double(targets[static_cast<std::size_t>(k)]) : 1.5;
                right += target * double(row[i]);
                size += std::abs(target * double(row[i]));
              }
            if (!any) CHECK(p(r, i) == T(0), "an empty row");
            if (!any) continue;
            CHECK(std::abs(left - right) <= (2000 * double(std::numeric_limits<T>::epsilon())) * (size + 1),
                  "row %d of dim %d, %d terms, %d steps: %g", static_cast<int>(r), static_cast<int>(dim), count, steps,
                  left - right);
          }
      }
}

void check_singular() {
  const std::int64_t indptr[2] = {0, 1};
  const std::int32_t index = 0;
  Matrix<double> f(1, 3), shared(3, 3), p(1, 3);
  for (int64_t i = 0; i < 3; ++i) {
    f(0, i) = 1;
    p(0, i) = 0;
    for (int64_t j = 0; j < 3; ++j) shared(i, j) = 0;
  }
  const double ridge = 0;
  const AlsTerm<double> term{{1, 1, indptr, &index, nullptr}, 1.0, nullptr, 0.0, f.view()};
  int64_t row = -1;
  try {
    als_rows<double>(&term, 1, shared.view(), &ridge, {}, p.view(), 0, context(1));
  } catch (const NotPositiveDefinite& error) {
    row = error.index;
  }
  CHECK(row == 0, "a singular problem is refused");
}

template <class T>
void check_transposed_product(int64_t k, int64_t m, int64_t n) {
  Random random(static_cast<std::uint64_t>(k + m + n));
  Matrix<T> a(k, m, 2), b(k, n, 1), c(m, n, 3), again(m, n, 3);
  for (int64_t l = 0; l < k; ++l) {
    for (int64_t i = 0; i < m; ++i) a(l, i) = static_cast<T>(random());
    for (int64_t j = 0; j < n; ++j) b(l, j) = static_cast<T>(random());
  }
  transposed_product<T>(a.view(), b.view(), c.view(), context(1));
  transposed_product<T>(a.view(), b.view(), again.view(), context(4));
  CHECK(c.intact() && c.same_bits(again), "%d", static_cast<int>(k));
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t l = 0; l < k; ++l) sum += double(a(l, i)) * double(b(l, j));
      const double bound = static_cast<double>(k + 1) * double(std::numeric_limits<T>::epsilon());
      CHECK(std::abs(sum - double(c(i, j))) <= bound, "(%d, %d)", static_cast<int>(i), static_cast<int>(j));
    }
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  for (const std::int64_t dim : {1, 7, 16, 33, 70}) {
    check<float>(30, 40, 25, dim);
    check<double>(30, 40, 25, dim);
  }
  check<double>(0, 4, 4, 3);
  check<double>(40, 300, 5, 12);  // more entries than are gathered at once
  check_singular();
  for (const std::int64_t k : {0, 1, 50, 5000}) {
    check_transposed_product<float>(k, 20, 33);
    check_transposed_product<double>(k, 400, 5);
  }
  return report("als");
}
