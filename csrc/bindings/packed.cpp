#include "fastlae/packed.hpp"

#include "arrays.hpp"

namespace fastlae::bindings {

void register_packed(py::module_& m) {
  m.def(
      "symmetric_columns",
      [](const py::array& a, std::int64_t n, std::int64_t tile, const py::array& columns, const py::array& out,
         int num_threads) {
        const Context context = make_context(num_threads);
        dispatch(a, "a", [&](auto zero) {
          using T = decltype(zero);
          const auto from = symmetric<const T>(a, "a", n, tile);
          const auto to = matrix<T>(out, "out");
          if (to.rows != n) throw py::value_error("out: expected as many rows as a has");
          const auto* chosen = vector<const std::int64_t>(columns, "columns", to.cols);
          for (std::int64_t k = 0; k < to.cols; ++k)
            if (chosen[k] < 0 || chosen[k] >= n) throw py::value_error("columns: out of range");
          py::gil_scoped_release release;
          symmetric_columns<T>(from, chosen, to, context);
        });
      },
      py::arg("a"), py::arg("n"), py::arg("tile"), py::arg("columns"), py::arg("out"), py::arg("num_threads"),
      "out <- a[:, columns]");
}

}  // namespace fastlae::bindings
