// Arguments that all selections of the k best share.
#pragma once

#include <string>
#include <utility>

#include "arrays.hpp"
#include "fastlae/topk.hpp"

namespace fastlae::bindings {

/// `seen`: (indptr, indices) or None; `columns`: uint8 vector or None.
inline Hidden hidden_view(const py::object& seen, const py::object& columns, std::int64_t rows, std::int64_t n) {
  Hidden hidden;
  if (!seen.is_none()) {
    const auto pair = seen.cast<py::tuple>();
    const auto view = csr<float>(pair[0].cast<py::array>(), pair[1].cast<py::array>(), py::none(), n, "hidden");
    if (view.rows != rows) throw py::value_error("hidden: expected " + std::to_string(rows) + " rows");
    hidden.indptr = view.indptr;
    hidden.indices = view.indices;
  }
  if (!columns.is_none()) hidden.columns = vector<const std::uint8_t>(columns.cast<py::array>(), "columns", n);
  return hidden;
}

/// Where the k best of so many rows go.
inline std::pair<MatrixView<std::int32_t>, MatrixView<float>> best_views(const py::array& items,
                                                                         const py::array& scores, std::int64_t rows) {
  const auto to_items = matrix<std::int32_t>(items, "items");
  if (to_items.rows != rows || to_items.cols < 1)
    throw py::value_error("items: expected " + std::to_string(rows) + " rows and at least one column");
  return {to_items, matrix<float>(scores, "out", rows, to_items.cols)};
}

}  // namespace fastlae::bindings
