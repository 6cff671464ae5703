#include "fastlae/split.hpp"

#include "arrays.hpp"

namespace fastlae::bindings {

namespace {

/// Row pointers that take from no row more than it has.
const std::int64_t* part_indptr(const py::array& array, const std::int64_t* indptr, std::int64_t rows) {
  const auto* part = vector<const std::int64_t>(array, "taken_indptr", rows + 1);
  bool sound = part[0] == 0;
  for (std::int64_t u = 0; sound && u < rows; ++u)
    sound = part[u] <= part[u + 1] && part[u + 1] - part[u] <= indptr[u + 1] - indptr[u];
  if (!sound) throw py::value_error("taken_indptr: expected row pointers of at most as many entries as a row has");
  return part;
}

template <class T>
RowPart<T> row_part(const py::array& indices, const py::object& values, bool valued, std::int64_t size,
                    const char* name) {
  RowPart<T> part{vector<std::int32_t>(indices, name, size), nullptr};
  if (valued) part.values = vector<T>(values.cast<py::array>(), name, size);
  return part;
}

template <class T>
void split(const py::array& indptr, const py::array& indices, const py::object& values, std::int64_t cols,
           const py::array& keys, const py::array& taken_indptr, const py::array& kept_indices,
           const py::object& kept_values, const py::array& taken_indices, const py::object& taken_values,
           int num_threads) {
  const Context context = make_context(num_threads);
  const CsrView<T> x = csr<T>(indptr, indices, values, cols, "X");
  const auto* k = vector<const std::uint64_t>(keys, "keys", x.nnz());
  const std::int64_t* part = part_indptr(taken_indptr, x.indptr, x.rows);
  const std::int64_t count = part[x.rows];
  const RowPart<T> kept = row_part<T>(kept_indices, kept_values, x.values, x.nnz() - count, "kept");
  const RowPart<T> taken = row_part<T>(taken_indices, taken_values, x.values, count, "taken");
  py::gil_scoped_release release;
  split_rows<T>(x, k, part, kept, taken, context);
}

}  // namespace

void register_split(py::module_& m) {
  m.def(
      "split_rows",
      [](const py::array& indptr, const py::array& indices, const py::object& values, std::int64_t cols,
         const py::array& keys, const py::array& taken_indptr, const py::array& kept_indices,
         const py::object& kept_values, const py::array& taken_indices, const py::object& taken_values,
         int num_threads) {
        const auto call = [&](auto type) {
          split<decltype(type)>(indptr, indices, values, cols, keys, taken_indptr, kept_indices, kept_values,
                                taken_indices, taken_values, num_threads);
        };
        if (values.is_none()) return call(float{});
        dispatch(values.cast<py::array>(), "values", call);
      },
      py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("cols"), py::arg("keys"),
      py::arg("taken_indptr"), py::arg("kept_indices"), py::arg("kept_values"), py::arg("taken_indices"),
      py::arg("taken_values"), py::arg("num_threads"), "the entries with the smallest keys of every row, and the rest");
}

}  // namespace fastlae::bindings
