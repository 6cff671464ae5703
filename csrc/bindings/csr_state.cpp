#include <algorithm>
#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <utility>

#include "arrays.hpp"
#include "parallel.hpp"

namespace fastlae::bindings {

namespace {

/// Whether every value is finite and not zero, and whether every one is 1. Counts, since those are compiled to vectors.
template <class T>
std::pair<bool, bool> look_at(const T* values, std::int64_t count) {
  bool sound = true, ones = true;
  for (std::int64_t begin = 0; begin < count; begin += 4096) {
    const std::int64_t end = std::min(count, begin + 4096);
    int odd = 0, unusual = 0;
    for (std::int64_t e = begin; e < end; ++e) {
      const T value = values[e];
      odd += value != T(1);
      unusual += value - value != T(0) || value == T(0);  // infinity - infinity is NaN
    }
    ones &= odd == 0;
    sound &= unusual == 0;
  }
  return {sound, ones};
}

bool contiguous(const py::array& a) {
  constexpr int plain = py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  return a.ndim() == 1 && (a.flags() & plain) == plain;
}

}  // namespace

template <class Pointer>
bool rows_ascend(const Pointer* indptr, std::int64_t rows, const std::int32_t* indices, std::int64_t nnz,
                 std::int64_t cols, Context context) {
  if (indptr[0] != 0 || indptr[rows] != nnz) return false;
  context.poll = nullptr;
  std::atomic<bool> all{true};
  parallel_for(context, rows, std::max<std::int64_t>(4096, rows / 64), [&](std::int64_t first, std::int64_t last, int) {
    bool sound = true;
    for (std::int64_t u = first; u < last && sound; ++u) {
      const std::int64_t begin = indptr[u], end = indptr[u + 1];
      sound = begin <= end && 0 <= begin && end <= nnz;
      if (!sound || begin == end) continue;
      sound = indices[begin] >= 0 && indices[end - 1] < cols;
      bool ascending = true;  // no way out of the loop, so that it is compiled to vectors
      for (std::int64_t e = begin + 1; e < end; ++e) ascending &= indices[e - 1] < indices[e];
      sound &= ascending;
    }
    if (!sound) all.store(false, std::memory_order_relaxed);
  });
  return all.load();
}

template bool rows_ascend(const std::int32_t*, std::int64_t, const std::int32_t*, std::int64_t, std::int64_t, Context);
template bool rows_ascend(const std::int64_t*, std::int64_t, const std::int32_t*, std::int64_t, std::int64_t, Context);

void register_csr_state(py::module_& m) {
  m.def(
      "csr_state",
      [](const py::array& indptr, const py::array& indices, const py::array& values, std::int64_t cols) {
        if (!has_dtype<std::int32_t>(indices) || !contiguous(indptr) || !contiguous(indices) || !contiguous(values) ||
            indptr.size() < 1 || indices.size() != values.size())
          return 0;
        const std::int64_t rows = indptr.size() - 1, count = indices.size();
        const auto* const columns = static_cast<const std::int32_t*>(indices.data());
        const void* const pointers = indptr.data();
        const bool narrow = has_dtype<std::int32_t>(indptr);
        if (!narrow && !has_dtype<std::int64_t>(indptr)) return 0;
        return dispatch(values, "values", [&](auto zero) {
          const auto* const data = static_cast<const decltype(zero)*>(values.data());
          const py::gil_scoped_release release;
          const bool sound =
              narrow ? rows_ascend(static_cast<const std::int32_t*>(pointers), rows, columns, count, cols, {})
                     : rows_ascend(static_cast<const std::int64_t*>(pointers), rows, columns, count, cols, {});
          if (!sound) return 0;
          const auto [finite, ones] = look_at(data, count);
          return finite ? (ones ? 1 : 2) : 0;
        });
      },
      py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("cols"),
      "0 if a CSR matrix is not in canonical form, 1 if all values are 1, else 2");
  m.def(
      "column_counts",
      [](const py::array& columns, const py::array& out) {
        const std::int64_t count = columns.size(), cols = out.size();
        const auto* const indices = vector<const std::int32_t>(columns, "indices", count);
        auto* const counts = vector<std::int64_t>(out, "out", cols);
        py::gil_scoped_release release;
        bool inside = true;
        for (std::int64_t e = 0; e < count; ++e) inside &= indices[e] >= 0 && indices[e] < cols;
        if (!inside) throw std::invalid_argument("indices: out of range");
        for (std::int64_t e = 0; e < count; ++e) ++counts[indices[e]];
      },
      py::arg("indices"), py::arg("out"), "adds 1 to out[i] for every index i");
}

}  // namespace fastlae::bindings
