// The cut of rows against a stable sort by key, entries with equal keys and rows taken whole or not at all included.
#include <algorithm>
#include <numeric>

#include "check.hpp"
#include "fastlae/split.hpp"

namespace fastlae::test {

using std::int64_t;

template <class T>
void check(int64_t users, int64_t items, std::uint64_t distinct, bool valued) {
  Random random(static_cast<std::uint64_t>(users + items));
  const Csr<T> data = interactions<T>(users, items, 0.3, random);
  const CsrView<T> x{users, items, data.indptr.data(), data.indices.data(), valued ? data.values.data() : nullptr};
  std::vector<std::uint64_t> keys;
  for (int64_t e = 0; e < x.nnz(); ++e) keys.push_back(random.next() % distinct);
  std::vector<int64_t> indptr{0};
  std::vector<std::int32_t> want[2];
  std::vector<T> want_values[2];
  for (int64_t u = 0; u < users; ++u) {
    const int64_t size = x.indptr[u + 1] - x.indptr[u];
    const int64_t count = u % 4 == 0 ? 0 : u % 4 == 1 ? size : random.below(size + 1);
    indptr.push_back(indptr.back() + count);
    std::vector<int64_t> order(static_cast<std::size_t>(size));
    std::iota(order.begin(), order.end(), x.indptr[u]);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return keys[static_cast<std::size_t>(a)] < keys[static_cast<std::size_t>(b)];
    });
    for (int64_t e = x.indptr[u]; e < x.indptr[u + 1]; ++e) {
      const int part = std::find(order.begin(), order.begin() + count, e) != order.begin() + count;
      want[part].push_back(x.indices[e]);
      want_values[part].push_back(x.value(e));
    }
  }
  for (const int threads : {1, 2, 5}) {
    std::vector<std::int32_t> indices[2];
    std::vector<T> values[2];
    RowPart<T> parts[2];
    for (int part = 0; part < 2; ++part) {
      indices[part].assign(want[part].size(), -1);
      values[part].assign(want[part].size(), T(1));
      parts[part] = {indices[part].data(), valued ? values[part].data() : nullptr};
    }
    split_rows<T>(x, keys.data(), indptr.data(), parts[0], parts[1], context(threads));
    for (int part = 0; part < 2; ++part)
      CHECK(indices[part] == want[part] && values[part] == want_values[part], "part %d, %d users, %d threads", part,
            static_cast<int>(users), threads);
  }
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  for (const bool valued : {false, true}) {
    check<float>(700, 60, ~0ull, valued);
    check<float>(300, 90, 4, valued);  // many equal keys
    check<double>(40, 1, 2, valued);
    check<double>(0, 5, 2, valued);
  }
  return report("split");
}
