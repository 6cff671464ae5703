// Arguments of a selection on a CUDA device: what is hidden, and the lists that are filled.
#pragma once

#include <string>

#include "device_arrays.hpp"
#include "fastlae/cuda/topk.hpp"

namespace fastlae::bindings {

/// `seen`: (indptr, indices) or None; `columns`: uint8 vector or None.
inline cuda::Hidden hidden_view(DeviceArguments& arguments, const py::object& seen, py::handle columns,
                                std::int64_t rows, std::int64_t n) {
  cuda::Hidden hidden;
  if (!seen.is_none()) {
    const auto pair = seen.cast<py::tuple>();
    const auto view = arguments.csr<float>(pair[0], pair[1], py::none(), n, "hidden");
    if (view.rows != rows) throw py::value_error("hidden: expected " + std::to_string(rows) + " rows");
    hidden.indptr = view.indptr;
    hidden.indices = view.indices;
  }
  hidden.columns = arguments.optional_vector<const std::uint8_t>(columns, "columns", n);
  return hidden;
}

/// The outputs of a selection, whose rows lie without gaps, k at least 1.
struct Lists {
  MatrixView<std::int32_t> items;
  MatrixView<float> scores;
};

inline Lists lists(DeviceArguments& arguments, py::handle items, py::handle scores, std::int64_t rows) {
  const auto to_items = arguments.matrix<std::int32_t>(items, "items", rows);
  const auto to_scores = arguments.matrix<float>(scores, "out", rows, to_items.cols);
  if (to_items.cols < 1) throw py::value_error("items: expected at least one column");
  if (to_items.stride != to_items.cols || to_scores.stride != to_scores.cols)
    throw py::value_error("items, out: rows must follow one another without gaps");
  return {to_items, to_scores};
}

}  // namespace fastlae::bindings
