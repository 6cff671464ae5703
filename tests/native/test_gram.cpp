// The Gram matrix against the sum over users in double precision.
#include "check.hpp"
#include "fastlae/gram.hpp"

namespace fastlae::test {

using std::int64_t;

/// Any number of hot items, and the packed form by tiles of any size, give the same bits.
template <class T>
void check_split(const CsrView<T>& x, const double* weights, Matrix<T>& g, int threads) {
  for (const int64_t hot : {0, 512, 4096}) {
    Matrix<T> other(x.cols, x.cols, 5);
    gram<T>(x, weights, other.view(), context(threads), hot);
    CHECK(other.same_bits(g), "%d items, %d of them hot", static_cast<int>(x.cols), static_cast<int>(hot));
    for (const int64_t tile : {1, 50, 129, 5000}) {
      if (hot == 4096) break;
      SymmetricView<T> lower{nullptr, x.cols, tile, 0};
      int64_t size = 0;
      for (int64_t i = 0; i < lower.tiles(); ++i) size += lower.size(i) * std::min(x.cols, (i + 1) * tile);
      std::vector<T> memory(static_cast<std::size_t>(size), T(-1));
      lower.data = memory.data();
      gram<T>(x, weights, lower, context(threads), hot);
      int64_t wrong = 0;
      for (int64_t t = 0; t < lower.tiles(); ++t) {
        const MatrixView<T> strip = lower.strip(t);
        for (int64_t i = 0; i < strip.rows; ++i)
          for (int64_t j = 0; j < strip.cols; ++j) wrong += !(strip(i, j) == g(lower.begin(t) + i, j));
      }
      CHECK(wrong == 0, "%d items, tile %d, %d hot: %d entries wrong", static_cast<int>(x.cols), static_cast<int>(tile),
            static_cast<int>(hot), static_cast<int>(wrong));
    }
  }
}

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
    if (threads <= 2) check_split(view, w, g, threads);
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
      check<T>(100, 1, 1.0, valued, weighted, 0);
    }
  for (const int64_t items : {511, 512, 513, 700}) check<T>(60, items, 0.02, false, false, 0);  // edges of a line
  check<T>(2, 1100, 0.1, true, true, 0);
  // Edges of what is counted together: 16 and 240 users; all items dense.
  for (const int64_t users : {15, 16, 17, 239, 240, 241, 480, 500}) check<T>(users, 20, 1.0, false, false, 0);
}

/// Counts beyond 65,535: more than 16 bits hold.
void check_large() {
  Csr<float> x;
  for (int64_t u = 0; u < 70000; ++u) {
    x.indices.insert(x.indices.end(), {0, 2});
    x.indptr.push_back(static_cast<int64_t>(x.indices.size()));
  }
  const CsrView<float> view{70000, 3, x.indptr.data(), x.indices.data(), nullptr};
  for (const int64_t hot : {0, 512}) {
    Matrix<float> g(3, 3);
    gram<float>(view, nullptr, g.view(), context(3), hot);
    for (int64_t i = 0; i < 3; ++i)
      for (int64_t j = 0; j < 3; ++j)
        CHECK(g(i, j) == (i != 1 && j != 1 ? 70000 : 0), "%d hot, entry %d %d", static_cast<int>(hot),
              static_cast<int>(i), static_cast<int>(j));
  }
}

}  // namespace fastlae::test

int main() {
  fastlae::test::all<float>();
  fastlae::test::all<double>();
  fastlae::test::check_large();
  return fastlae::test::report("gram");
}
