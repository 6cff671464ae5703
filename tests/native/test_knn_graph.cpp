// Nearest neighbours and their graph against plain loops in double precision.
#include <algorithm>
#include <limits>

#include "check.hpp"
#include "fastlae/knn_graph.hpp"

namespace fastlae::test {

using std::int64_t;

template <class T>
Csr<T> transposed(const Csr<T>& x, int64_t cols) {
  Csr<T> result;
  for (int64_t j = 0; j < cols; ++j) {
    for (std::size_t u = 0; u + 1 < x.indptr.size(); ++u)
      for (int64_t e = x.indptr[u]; e < x.indptr[u + 1]; ++e)
        if (x.indices[static_cast<std::size_t>(e)] == j) {
          result.indices.push_back(static_cast<std::int32_t>(u));
          result.values.push_back(x.values[static_cast<std::size_t>(e)]);
        }
    result.indptr.push_back(static_cast<int64_t>(result.indices.size()));
  }
  return result;
}

template <class T>
CsrView<T> view(const Csr<T>& x, int64_t cols, bool valued) {
  return {static_cast<int64_t>(x.indptr.size()) - 1, cols, x.indptr.data(), x.indices.data(),
          valued ? x.values.data() : nullptr};
}

struct Neighbour {
  float similarity;
  std::int32_t item;
};

template <class T>
void check(int64_t features, int64_t objects, int64_t queries, double density, int64_t k) {
  Random random(static_cast<std::uint64_t>(features * 1000 + objects * 10 + k));
  const bool same = queries == objects;
  Csr<T> x = interactions<T>(features, objects, density, random);
  for (T& value : x.values) value = static_cast<T>(1 + random.below(4));  // inner products are exact in any order
  Csr<T> rows = same ? transposed(x, objects) : interactions<T>(queries, features, density, random);
  for (T& value : rows.values) value = same ? value : T(2);
  for (const bool valued : {false, true})
    for (const bool product : {false, true}) {
      const auto from = view(rows, features, valued), to = view(x, objects, valued);
      std::vector<double> row(static_cast<std::size_t>(queries), 0.0), column(static_cast<std::size_t>(objects), 0.0);
      for (int64_t i = 0; i < queries; ++i)
        for (int64_t e = from.indptr[i]; e < from.indptr[i + 1]; ++e)
          row[static_cast<std::size_t>(i)] += double(from.value(e)) * double(from.value(e));
      for (int64_t e = 0; e < to.nnz(); ++e)
        column[static_cast<std::size_t>(to.indices[e])] += double(to.value(e)) * double(to.value(e));
      const Similarity similarity{product, product ? 0.0 : 1.0, 0.5, row.data(), column.data()};
      Matrix<std::int32_t> expected(queries, k, 1), by_object(queries, k, 1);
      Matrix<float> best(queries, k, 1), best_by_object(queries, k, 1);
      for (int64_t i = 0; i < queries; ++i) {
        std::vector<double> dot(static_cast<std::size_t>(objects), 0.0);
        for (int64_t e = from.indptr[i]; e < from.indptr[i + 1]; ++e)
          for (int64_t g = to.indptr[from.indices[e]]; g < to.indptr[from.indices[e] + 1]; ++g)
            dot[static_cast<std::size_t>(to.indices[g])] += double(from.value(e)) * double(to.value(g));
        std::vector<Neighbour> all;
        for (int64_t j = 0; j < objects; ++j)
          if (const double d = dot[static_cast<std::size_t>(j)]; d > 0 && !(same && j == i))
            all.push_back({similarity(d, i, j), static_cast<std::int32_t>(j)});
        std::stable_sort(all.begin(), all.end(), [](auto a, auto b) { return a.similarity > b.similarity; });
        all.resize(std::min(all.size(), static_cast<std::size_t>(k)));
        for (const bool sorted : {false, true}) {
          if (sorted) std::sort(all.begin(), all.end(), [](auto a, auto b) { return a.item < b.item; });
          for (int64_t r = 0; r < k; ++r) {
            const bool there = r < static_cast<int64_t>(all.size());
            const auto at = static_cast<std::size_t>(r);
            (sorted ? by_object : expected)(i, r) = there ? all[at].item : -1;
            (sorted ? best_by_object : best)(i, r) =
                there ? all[at].similarity : -std::numeric_limits<float>::infinity();
          }
        }
      }
      for (const bool ordered : {true, false})
        for (const int threads : {1, 5})
          for (const int64_t dense : {kDenseByCost, int64_t{0}, int64_t{3}, int64_t{1} << 20}) {
            Matrix<std::int32_t> neighbours(queries, k, 1);
            Matrix<float> similarities(queries, k, 1);
            nearest_neighbours<T>(from, to, similarity, same, ordered, neighbours.view(), similarities.view(),
                                  context(threads), dense);
            CHECK(neighbours.same_bits(ordered ? expected : by_object) &&
                      similarities.same_bits(ordered ? best : best_by_object),
                  "%d features, %d queries, %d objects, k %d, valued %d, product %d, ordered %d, dense %d",
                  static_cast<int>(features), static_cast<int>(queries), static_cast<int>(objects), static_cast<int>(k),
                  valued, product, ordered, static_cast<int>(dense));
          }
      if (!same) continue;
      Matrix<float> graph(objects, objects), got(objects, objects);
      for (int64_t i = 0; i < objects; ++i)
        for (int64_t j = 0; j < objects; ++j) graph(i, j) = got(i, j) = 0;
      for (int64_t i = 0; i < objects; ++i)
        for (int64_t r = 0; r < k; ++r)
          if (const std::int32_t j = expected(i, r); j >= 0) {
            graph(i, j) = std::max(graph(i, j), best(i, r));
            graph(j, i) = std::max(graph(j, i), best(i, r));
          }
      for (const int threads : {1, 4}) {
        const UnionGraph made(by_object.view(), best_by_object.view(), context(threads));
        std::vector<std::int32_t> indices(static_cast<std::size_t>(made.indptr().back()));
        std::vector<float> values(indices.size());
        made.write(indices.data(), values.data(), context(threads));
        bool ascending = true;
        for (int64_t i = 0; i < objects; ++i)
          for (int64_t e = made.indptr()[static_cast<std::size_t>(i)];
               e < made.indptr()[static_cast<std::size_t>(i + 1)]; ++e) {
            const auto at = static_cast<std::size_t>(e);
            got(i, indices[at]) = values[at];
            ascending = ascending && (e == made.indptr()[static_cast<std::size_t>(i)] || indices[at - 1] < indices[at]);
          }
        CHECK(ascending && got.same_bits(graph), "graph of %d objects, k %d, %d threads", static_cast<int>(objects),
              static_cast<int>(k), threads);
      }
    }
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  for (const std::int64_t k : {1, 4, 33}) {
    check<float>(40, 70, 70, 0.2, k);
    check<double>(40, 70, 70, 0.2, k);
    check<float>(90, 30, 11, 0.1, k);
  }
  check<float>(0, 5, 5, 0.1, 2);
  check<float>(5, 0, 0, 0.1, 2);
  check<float>(1, 1, 1, 1.0, 1);
  check<float>(60, 1100, 1100, 0.1, 20);  // several lines of bits and blocks
  check<float>(30, 9000, 6, 0.3, 100);    // more lines than are counted at a time
  return report("knn_graph");
}
