// Scores and the k best of them, against plain loops and a full sort.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "check.hpp"
#include "fastlae/metrics.hpp"
#include "fastlae/score.hpp"
#include "fastlae/topk.hpp"

namespace fastlae::test {

using std::int64_t;

template <class T>
void check(int64_t users, int64_t items, int64_t k, bool valued) {
  Random random(static_cast<std::uint64_t>(users * 7919 + items * 31 + k));
  const Csr<T> data = interactions<T>(users, items, 0.15, random);
  const Csr<T> hidden_rows = interactions<T>(users, items, 0.1, random);
  const CsrView<T> x{users, items, data.indptr.data(), data.indices.data(), valued ? data.values.data() : nullptr};
  Matrix<T> w(items, items, 3);
  for (int64_t i = 0; i < items; ++i)
    for (int64_t j = 0; j < items; ++j) w(i, j) = static_cast<T>(std::round(random() * 4) / 4);  // many ties
  std::vector<std::uint8_t> columns(static_cast<std::size_t>(items), 0);
  for (int64_t j = 0; j < items; j += 11) columns[static_cast<std::size_t>(j)] = 1;
  Hidden hidden;
  hidden.indptr = hidden_rows.indptr.data();
  hidden.indices = hidden_rows.indices.data();
  hidden.columns = columns.data();

  Matrix<T> s(users, items, 2);
  score<T>(x, w.view(), s.view(), context(2));
  CHECK(s.intact(), "score wrote between rows");
  // W as a sparse matrix that stores every entry.
  std::vector<int64_t> w_indptr(static_cast<std::size_t>(items) + 1);
  std::vector<std::int32_t> w_indices;
  std::vector<T> w_values;
  for (int64_t i = 0; i < items; ++i) {
    for (int64_t j = 0; j < items; ++j) {
      w_indices.push_back(static_cast<std::int32_t>(j));
      w_values.push_back(w(i, j));
    }
    w_indptr[static_cast<std::size_t>(i) + 1] = static_cast<int64_t>(w_indices.size());
  }
  const std::vector<std::int32_t> narrow(w_indptr.begin(), w_indptr.end());
  const CsrView<T> sparse_w{items, items, w_indptr.data(), w_indices.data(), w_values.data()};
  const CsrView<T, std::int32_t> narrow_w{items, items, narrow.data(), w_indices.data(), w_values.data()};

  for (const int threads : {1, 2, 5}) {
    Matrix<std::int32_t> found(users, k), from_scores(users, k), from_sparse(users, k);
    Matrix<float> best(users, k), best_scores(users, k), best_sparse(users, k);
    recommend<T>(x, static_cast<MatrixView<const T>>(w.view()), hidden, found.view(), best.view(), context(threads));
    topk<T>(s.view(), nullptr, hidden, from_scores.view(), best_scores.view(), context(threads));
    // All of many scales at once, with a column that never wins.
    Matrix<T> scales(4, items);
    for (int64_t c = 0; c < 4; ++c)
      for (int64_t j = 0; j < items; ++j)
        scales(c, j) = j == 3 ? std::numeric_limits<T>::quiet_NaN() : T(1) - T((j + 2 * c) % 5) / 4;
    std::vector<std::int32_t> scaled(static_cast<std::size_t>(4 * users * k));
    topk_scaled<T>(s.view(), scales.view(), hidden, scaled.data(), k, context(threads));
    for (int64_t c = 0; c < 4; ++c) {
      Matrix<std::int32_t> plain(users, k);
      topk<T>(s.view(), scales.view().row(c), hidden, plain.view(), best_scores.view(), context(threads));
      for (int64_t u = 0; u < users; ++u)
        for (int64_t r = 0; r < k; ++r)
          CHECK(scaled[static_cast<std::size_t>((c * users + u) * k + r)] == plain(u, r), "scale %d", int(c));
    }
    topk<T>(s.view(), nullptr, hidden, from_scores.view(), best_scores.view(), context(threads));
    recommend<T>(x, sparse_w, static_cast<int64_t>(w_values.size()), hidden, from_sparse.view(), best_sparse.view(),
                 context(threads));
    Matrix<std::int32_t> from_narrow(users, k);
    recommend<T>(x, narrow_w, static_cast<int64_t>(w_values.size()), hidden, from_narrow.view(), best_sparse.view(),
                 context(threads));
    for (int64_t u = 0; u < users; ++u) {
      for (int64_t r = 0; r < k; ++r) CHECK(from_narrow(u, r) == from_sparse(u, r), "int32 row pointers");
      std::vector<double> exact(static_cast<std::size_t>(items), 0.0);
      for (int64_t e = x.indptr[u]; e < x.indptr[u + 1]; ++e)
        for (int64_t j = 0; j < items; ++j)
          exact[static_cast<std::size_t>(j)] +=
              static_cast<double>(x.value(e)) * static_cast<double>(w(x.indices[e], j));
      std::vector<std::int32_t> allowed;
      for (int64_t j = 0; j < items; ++j) {
        CHECK(std::abs(static_cast<double>(s(u, j)) - exact[static_cast<std::size_t>(j)]) < 1e-4, "score (%d, %d)",
              static_cast<int>(u), static_cast<int>(j));
        const auto begin = hidden.indices + hidden.indptr[u], end = hidden.indices + hidden.indptr[u + 1];
        if (!columns[static_cast<std::size_t>(j)] && !std::binary_search(begin, end, j))
          allowed.push_back(static_cast<std::int32_t>(j));
      }
      std::stable_sort(allowed.begin(), allowed.end(),
                       [&](std::int32_t i, std::int32_t j) { return s(u, i) > s(u, j); });
      const bool empty = x.indptr[u] == x.indptr[u + 1];
      for (int64_t r = 0; r < k; ++r) {
        const bool filled = r < static_cast<int64_t>(allowed.size());
        const std::int32_t expected = filled ? allowed[static_cast<std::size_t>(r)] : -1;
        CHECK(from_scores(u, r) == expected, "topk, user %d slot %d", static_cast<int>(u), static_cast<int>(r));
        CHECK(found(u, r) == (empty ? -1 : expected), "recommend, user %d slot %d, %d threads", static_cast<int>(u),
              static_cast<int>(r), threads);
        if (!valued)  // sums of quarters are exact, so the order of summation does not matter
          CHECK(from_sparse(u, r) == found(u, r), "sparse W, user %d slot %d", static_cast<int>(u),
                static_cast<int>(r));
      }
    }
  }
}

/// The nearest float16 of a number that float16 has exactly, normal or subnormal.
std::uint16_t float16_bits(double value) {
  const auto sign = static_cast<std::uint16_t>(value < 0 ? 0x8000 : 0);
  const double size = std::abs(value);
  if (size < std::ldexp(1.0, -14)) return static_cast<std::uint16_t>(sign | static_cast<int>(std::ldexp(size, 24)));
  const int exponent = std::ilogb(size);
  return static_cast<std::uint16_t>(sign | ((exponent + 15) << 10) |
                                    static_cast<int>((std::ldexp(size, -exponent) - 1) * 1024));
}
void set(Float16& to, double value) {
  to.bits = float16_bits(value);
}
void set(Bfloat16& to, double value) {
  const auto single = static_cast<float>(value);
  std::uint32_t bits = 0;
  std::memcpy(&bits, &single, sizeof bits);
  to.bits = static_cast<std::uint16_t>(bits >> 16);
}

/// Weights of half precision, few users (read in place) and many (packed): the lists of the same weights in float32.
template <class Stored>
void check_half(int64_t users, int64_t items, bool valued) {
  Random random(static_cast<std::uint64_t>(users + items));
  const Csr<float> data = interactions<float>(users, items, 0.15, random);
  const CsrView<float> x{users, items, data.indptr.data(), data.indices.data(), valued ? data.values.data() : nullptr};
  const int64_t stride = items + 3, k = 9;
  Matrix<float> w(items, items, 3);
  // Ends where its last element ends, for AddressSanitizer.
  std::vector<Stored> half(static_cast<std::size_t>((items - 1) * stride + items));
  for (int64_t i = 0; i < items; ++i)
    for (int64_t j = 0; j < items; ++j) {
      const double value = std::ldexp(std::round(random() * 4), (i + j) % 3 == 0 ? -20 : 2);  // some are subnormal
      w(i, j) = static_cast<float>(value);
      set(half[static_cast<std::size_t>(i * stride + j)], value);
    }
  const MatrixView<const Stored> stored{half.data(), items, items, stride};
  Matrix<float> s(users, items), from_half(users, items);
  score<float>(x, w.view(), s.view(), context(2));
  score<Stored>(x, stored, from_half.view(), context(3));
  CHECK(s.same_bits(from_half), "scores of %d users and %d items", static_cast<int>(users), static_cast<int>(items));
  Matrix<std::int32_t> list(users, k), list_of_half(users, k);
  Matrix<float> best(users, k), best_of_half(users, k);
  recommend<float>(x, w.view(), {}, list.view(), best.view(), context(1));
  for (const int threads : {1, 2, 5}) {
    recommend<Stored>(x, stored, {}, list_of_half.view(), best_of_half.view(), context(threads));
    CHECK(list.same_bits(list_of_half) && best.same_bits(best_of_half), "lists of %d users, %d threads",
          static_cast<int>(users), threads);
  }
}

/// Numbers that are not finite stay what they are.
void check_special() {
  const std::vector<int64_t> indptr{0, 1};
  const std::vector<std::int32_t> indices{0};
  const CsrView<float> x{1, 1, indptr.data(), indices.data(), nullptr};
  const Float16 half[4] = {{0x7c00}, {0xfc00}, {0x7e01}, {0x7bff}};
  const Bfloat16 brain[4] = {{0x7f80}, {0xff80}, {0x7fc1}, {0x4780}};
  Matrix<float> s(1, 4), t(1, 4);
  score<Float16>(x, {half, 1, 4, 4}, s.view(), context(1));
  score<Bfloat16>(x, {brain, 1, 4, 4}, t.view(), context(1));
  CHECK(std::isinf(s(0, 0)) && s(0, 1) < 0 && std::isinf(s(0, 1)) && std::isnan(s(0, 2)) && s(0, 3) == 65504,
        "float16");
  CHECK(std::isinf(t(0, 0)) && t(0, 1) < 0 && std::isinf(t(0, 1)) && std::isnan(t(0, 2)) && t(0, 3) == 65536,
        "bfloat16");
}

void check_broken_sparse() {
  const std::vector<int64_t> indptr{0, 1, 2}, beyond{0, 1, 3}, back{0, 2, 1};
  const std::vector<std::int32_t> right{0, 1}, large{0, 2}, negative{0, -1};
  const std::vector<float> values{1, 1};
  const CsrView<float> x{2, 2, indptr.data(), right.data(), nullptr};
  Matrix<std::int32_t> items(2, 1);
  Matrix<float> scores(2, 1);
  for (const auto& [pointers, columns] : {std::pair{&beyond, &right}, std::pair{&back, &right},
                                          std::pair{&indptr, &large}, std::pair{&indptr, &negative}}) {
    bool refused = false;
    try {
      recommend<float>(x, CsrView<float>{2, 2, pointers->data(), columns->data(), values.data()}, 2, {}, items.view(),
                       scores.view(), context(2));
    } catch (const std::invalid_argument&) {
      refused = true;
    }
    CHECK(refused, "a sparse W that points outside");
  }
}

template <class T>
void check_quadratic(int64_t rows, int64_t order) {
  Random random(17);
  const Csr<T> data = interactions<T>(rows, order, 0.2, random);
  const CsrView<T> x{rows, order, data.indptr.data(), data.indices.data(), data.values.data()};
  Matrix<T> m(order, order, 1);
  for (int64_t i = 0; i < order; ++i)
    for (int64_t j = 0; j <= i; ++j) m(i, j) = m(j, i) = static_cast<T>(random());
  std::vector<double> q(static_cast<std::size_t>(rows));
  quadratic_diagonal<T>(x, {&m(0, 0), order, order, m.view().stride}, q.data(), context(3));
  for (int64_t i = 0; i < rows; ++i) {
    double expected = 0;
    for (int64_t e = x.indptr[i]; e < x.indptr[i + 1]; ++e)
      for (int64_t f = x.indptr[i]; f < x.indptr[i + 1]; ++f)
        expected += static_cast<double>(x.value(e)) * static_cast<double>(x.value(f)) *
                    static_cast<double>(m(x.indices[e], x.indices[f]));
    CHECK(std::abs(expected - q[static_cast<std::size_t>(i)]) < 1e-9, "row %d", static_cast<int>(i));
  }
}

void check_metrics() {
  const std::vector<int64_t> indptr{0, 2, 2};
  const std::vector<std::int32_t> targets{1, 4};
  const CsrView<float> held_out{2, 6, indptr.data(), targets.data(), nullptr};
  Matrix<std::int32_t> top(2, 4);
  const std::int32_t lists[2][4] = {{4, 0, 4, 1}, {0, 1, -1, -1}};
  for (int64_t u = 0; u < 2; ++u)
    for (int64_t r = 0; r < 4; ++r) top(u, r) = lists[u][r];
  const std::int32_t cutoffs[2] = {1, 4};
  Matrix<double> hits(2, 2), dcg(2, 2), precision(2, 2), rank(2, 2);
  ranking_sums(top.view(), held_out, cutoffs, 2, {hits.view(), dcg.view(), precision.view(), rank.view()}, context(2));
  CHECK(hits(0, 0) == 1 && hits(0, 1) == 2 && hits(1, 1) == 0, "hits");
  CHECK(std::abs(dcg(0, 1) - (1 + 1 / std::log2(5.0))) < 1e-12, "dcg");
  CHECK(std::abs(precision(0, 1) - 1.5) < 1e-12 && rank(0, 0) == 1, "precision, rank");
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  for (const bool valued : {false, true}) {
    check<float>(1, 300, 5, valued);
    check<float>(70, 130, 10, valued);
    check<float>(40, 128, 200, valued);
    check<float>(3, 1100, 1, valued);
    check<float>(9, 1, 2, valued);
    check<double>(33, 257, 7, valued);
    check<double>(0, 5, 2, valued);
    for (const int64_t users : {2, 300}) {
      check_half<fastlae::Float16>(users, 170, valued);
      check_half<fastlae::Bfloat16>(users, 170, valued);
    }
  }
  check_quadratic<float>(20, 50);
  check_quadratic<double>(1, 1);
  check_special();
  check_broken_sparse();
  check_metrics();
  return report("recommend");
}
