#include "fastlae/slim.hpp"

#include <algorithm>
#include <vector>

#include "arrays.hpp"

namespace fastlae::bindings {

void register_slim(py::module_& m) {
  m.def(
      "slim",
      [](const py::array& gram, double l1, double l2, bool nonnegative, double tolerance, std::int64_t max_sweeps,
         const py::object& start, const py::array& violations, int num_threads) -> py::tuple {
        const Context context = make_context(num_threads);
        return dispatch(gram, "G", [&](auto zero) -> py::tuple {
          using T = decltype(zero);
          const auto g = matrix<const T>(gram, "G");
          const std::int64_t n = g.rows;
          if (g.cols != n) throw py::value_error("G: expected a square matrix");
          auto* misses = vector<double>(violations, "violations", n);
          CsrView<T> first;
          if (!start.is_none()) {
            const auto triple = start.cast<py::tuple>();
            first = csr<T>(triple[0].cast<py::array>(), triple[1].cast<py::array>(), triple[2], n, "start");
            if (first.rows != n) throw py::value_error("start: expected a square matrix of the order of G");
          }
          std::vector<SlimColumn<T>> columns(static_cast<std::size_t>(n));
          {
            py::gil_scoped_release release;
            slim<T>(g, {l1, l2, nonnegative, tolerance, max_sweeps}, start.is_none() ? nullptr : &first, columns.data(),
                    context);
          }
          py::array_t<std::int64_t> indptr(n + 1);
          auto* pointers = indptr.mutable_data();
          pointers[0] = 0;
          for (std::int64_t j = 0; j < n; ++j) {
            const auto& column = columns[static_cast<std::size_t>(j)];
            pointers[j + 1] = pointers[j] + static_cast<std::int64_t>(column.items.size());
            misses[j] = column.violation;
          }
          py::array_t<std::int32_t> indices(pointers[n]);
          py::array_t<T> values(pointers[n]);
          for (std::int64_t j = 0; j < n; ++j) {
            const auto& column = columns[static_cast<std::size_t>(j)];
            std::copy(column.items.begin(), column.items.end(), indices.mutable_data() + pointers[j]);
            std::copy(column.values.begin(), column.values.end(), values.mutable_data() + pointers[j]);
          }
          return py::make_tuple(indptr, indices, values);
        });
      },
      py::arg("G"), py::arg("l1"), py::arg("l2"), py::arg("nonnegative"), py::arg("tolerance"), py::arg("max_sweeps"),
      py::arg("start"), py::arg("violations"), py::arg("num_threads"),
      "columns of W as (indptr, indices, values); violations: by how much each misses its optimality conditions");
}

}  // namespace fastlae::bindings
