#include "fastlae/split.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "parallel.hpp"

namespace fastlae {

namespace {

using std::int64_t;

/// What a row's entries are compared with: those below `key` are taken, and the first `ties` of those equal to it.
struct Bar {
  std::uint64_t key = 0;
  int64_t ties = 0;
};

Bar bar_of(const std::uint64_t* keys, int64_t size, int64_t count, std::vector<std::uint64_t>& scratch) {
  if (count == 0) return {};
  if (count == size) return {*std::max_element(keys, keys + size), size};
  scratch.assign(keys, keys + size);
  const auto last = scratch.begin() + (count - 1);
  std::nth_element(scratch.begin(), last, scratch.end());
  return {*last, 1 + std::count(scratch.begin(), last, *last)};
}

}  // namespace

template <class T>
void split_rows(const CsrView<T>& x, const std::uint64_t* keys, const int64_t* indptr, const RowPart<T>& kept,
                const RowPart<T>& taken, const Context& context) {
  // 256 rows: some ten thousand entries, long beside the hand-over of a chunk.
  parallel_for(context, x.rows, 256, [&](int64_t first, int64_t last, int) {
    std::vector<std::uint64_t> scratch;
    for (int64_t u = first; u < last; ++u) {
      const int64_t begin = x.indptr[u], end = x.indptr[u + 1];
      Bar bar = bar_of(keys + begin, end - begin, indptr[u + 1] - indptr[u], scratch);
      int64_t at[2] = {begin - indptr[u], indptr[u]};  // where the next entry of kept and of taken goes
      std::int32_t* const indices[2] = {kept.indices, taken.indices};
      T* const values[2] = {kept.values, taken.values};
      for (int64_t e = begin; e < end; ++e) {
        const bool tie = keys[e] == bar.key && bar.ties > 0;
        bar.ties -= tie;
        const int part = (keys[e] < bar.key) | tie;  // an index, not a branch: nobody could foresee it
        indices[part][at[part]] = x.indices[e];
        if (x.values) values[part][at[part]] = x.values[e];
        ++at[part];
      }
    }
  });
}

#define FASTLAE_INSTANTIATE(T)                                                                            \
  template void split_rows<T>(const CsrView<T>&, const std::uint64_t*, const int64_t*, const RowPart<T>&, \
                              const RowPart<T>&, const Context&);
FASTLAE_INSTANTIATE(float)
FASTLAE_INSTANTIATE(double)

}  // namespace fastlae
