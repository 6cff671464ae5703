// The Gram matrix against the sum over users in double precision.
#include "check.hpp"
#include "fastlae/gram.hpp"

namespace fastlae::test {

using std::int64_t;

template <class T>
void check(int64_t users, int64_t items, double density, bool valued, bool weighted, int64_t skipped) {
  Random random(static_cast<std::uint64_t>(users * 1000 + items));
  const Csr<T> x = interactions<T>(users, items, density, random);
  std::vector<double> weights(static_cast<std::size_t>(users));
  for (double& w : weights) w = (random() + 1) / 2;
  // A view of the rows from `skipped` on: its row pointers do not begin at 0.
  const CsrView<T> view{users - skipped, items, x.indptr.data() + skipped, x.indices.data(),
                        valued ? x.values.data() : nullptr};
  const double* w = weighted ? weights.data() + skipped : nullptr;
  Matrix<double> expected(items, items), bound(items, items);
  for (int64_t i = 0; i < items; ++i)
    for (int64_t j = 0; j < items; ++j) expected(i, j) = bound(i, j) = 0;
  for (int64_t u = 0; u < view.rows; ++u)
    for (int64_t e = view.indptr[u]; e < view.indptr[u + 1]; ++e)
      for (int64_t f = view.indptr[u]; f < view.indptr[u + 1]; ++f) {
        const double term = (w ? w[u] : 1.0) * static_cast<double>(view.value(e)) * static_cast<double>(view.value(f));
        expected(x.indices[static_cast<std::size_t>(e)], x.indices[static_cast<std::size_t>(f)]) += term;
        bound(x.indices[static_cast<std::size_t>(e)], x.indices[static_cast<std::size_t>(f)]) += std::abs(term);
      }
  Matrix<T> first(items, items, 5);
  const double unit = static_cast<double>(std::numeric_limits<T>::epsilon());
  for (const int threads : {1, 2, 3, 8}) {
    Matrix<T> g(items, items, 5);
    gram<T>(view, w, g.view(), context(threads));
    CHECK(g.intact(), "%d x %d, threads %d", static_cast<int>(users), static_cast<int>(items), threads);
    if (threads > 1) {
      CHECK(g.same_bits(first), "%d x %d, threads %d", static_cast<int>(users), static_cast<int>(items), threads);
      continue;
    }
    first = g;
    int64_t wrong = 0;
    for (int64_t i = 0; i < items; ++i)
      for (int64_t j = 0; j < items; ++j) {
        const double error = std::abs(static_cast<double>(g(i, j)) - expected(i, j));
        // Counts are exact; the rest is rounded once, after sums in double precision.
        const bool good = valued || weighted
                              ? error <= unit * bound(i, j) + 1e-14 * bound(i, j) * static_cast<double>(users)
                              : error == 0;
        wrong += !good || !(g(i, j) == g(j, i));
      }
    CHECK(wrong == 0, "%d x %d, values %d, weights %d: %d entries wrong", static_cast<int>(users),
          static_cast<int>(items), valued, weighted, static_cast<int>(wrong));
  }
}

template <class T>
void all() {
  for (const bool valued : {false, true})
    for (const bool weighted : {false, true}) {
      check<T>(0, 0, 0.5, valued, weighted, 0);
      check<T>(0, 9, 0.5, valued, weighted, 0);
      check<T>(9, 0, 0.5, valued, weighted, 0);
      check<T>(1, 1, 1.0, valued, weighted, 0);
      check<T>(20, 1, 0.5, valued, weighted, 0);
      check<T>(1, 20, 0.5, valued, weighted, 0);
      check<T>(30, 40, 0.0, valued, weighted, 0);  // no entries at all
      check<T>(150, 127, 0.1, valued, weighted, 0);
      check<T>(90, 128, 0.1, valued, weighted, 31);
      check<T>(200, 300, 0.05, valued, weighted, 0);
    }
}

}  // namespace fastlae::test

int main() {
  fastlae::test::all<float>();
  fastlae::test::all<double>();
  return fastlae::test::report("gram");
}
