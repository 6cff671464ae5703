// The emulated kernel of csrc/cuda/knn_graph.cu, with the emulated topk, against the CPU's. Numbers are small integers,
// so that sums are exact whatever their order.
#include <limits>
#include <vector>

#include "emulated.hpp"
#include "fastlae/cuda/knn_graph.hpp"
#include "fastlae/cuda/topk.hpp"
#include "fastlae/knn_graph.hpp"

namespace fastlae::test {

template <class T>
void check(int64_t queries, int64_t features, int64_t objects, int64_t first, int64_t k) {
  Random random(static_cast<std::uint64_t>(queries * 31 + features + objects));
  Csr<T> rows = interactions<T>(queries, features, 0.15, random),
         data = interactions<T>(features, objects, 0.15, random);
  for (T& value : rows.values) value = static_cast<T>(1 + random.below(4));
  for (T& value : data.values) value = static_cast<T>(1 + random.below(4));
  std::vector<double> row, column;
  for (int64_t i = 0; i < queries; ++i) row.push_back(static_cast<double>(20 + random.below(30)));
  for (int64_t j = 0; j < objects; ++j) column.push_back(static_cast<double>(20 + random.below(30)));
  for (const bool valued : {false, true})
    for (const bool product : {false, true}) {
      const CsrView<T> from{queries, features, rows.indptr.data(), rows.indices.data(),
                            valued ? rows.values.data() : nullptr};
      const CsrView<T> x{features, objects, data.indptr.data(), data.indices.data(),
                         valued ? data.values.data() : nullptr};
      const bool same = first >= 0;  // then queries == objects here
      Matrix<std::int32_t> expected_items(queries, k), items(queries, k);
      Matrix<float> expected(queries, k), best(queries, k), dense(queries, objects, 3);
      nearest_neighbours<T>(from, x, {product, 1, 0.5, row.data(), column.data()}, same, true, expected_items.view(),
                            expected.view(), context(1));
      under_schedules([&] {
        const Device device(cuda::similarities_workspace(queries, objects));
        cuda::similarities<T>(device_csr(rows, features, valued), device_csr(data, objects, valued),
                              {product, 1, 0.5, row.data(), column.data()}, first, dense.view(), device.context());
        CHECK(dense.intact(), "written between rows");
        const Device other(cuda::topk_workspace(queries, objects, k, sizeof(float)));
        cuda::topk<float>(dense.view(), nullptr, {}, items.view(), best.view(), other.context());
        CHECK(items.same_bits(expected_items) && best.same_bits(expected), "%d x %d x %d, valued %d, product %d",
              static_cast<int>(queries), static_cast<int>(features), static_cast<int>(objects), valued, product);
      });
    }
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  check<float>(20, 30, 20, 0, 4);
  check<double>(20, 30, 20, 0, 4);
  check<float>(7, 30, 300, -1, 10);
  check<double>(7, 30, 300, -1, 10);
  check<float>(3, 0, 5, -1, 2);
  check<float>(1, 1, 1, 0, 1);
  return report_emulated("knn_graph");
}
