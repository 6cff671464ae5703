#include "fastlae/spd_inverse.hpp"

#include "arrays.hpp"

namespace fastlae::bindings {

void register_spd_inverse(py::module_& m) {
  m.def(
      "spd_inverse",
      [](const py::array& a, std::int64_t n, std::int64_t tile, int num_threads) {
        const Context context = make_context(num_threads);
        dispatch(a, "a", [&](auto zero) {
          using T = decltype(zero);
          if (a.ndim() == 2) {
            const MatrixView<T> full = matrix<T>(a, "a", n, n);
            py::gil_scoped_release release;
            spd_inverse<T>(full, context);
          } else {
            const SymmetricView<T> packed = symmetric<T>(a, "a", n, tile);
            py::gil_scoped_release release;
            spd_inverse<T>(packed, context);
          }
        });
      },
      py::arg("a"), py::arg("n"), py::arg("tile"), py::arg("num_threads"),
      "a <- a^-1: packed by tiles (a vector), or in a matrix (lower triangle read, both written)");
  m.def("inverse_tile", &inverse_tile, py::arg("n"), "rows of a tile that suit a matrix of order n");
  m.def(
      "asymmetry",
      [](const py::array& a, int num_threads) {
        const Context context = make_context(num_threads);
        return dispatch(a, "a", [&](auto zero) {
          using T = decltype(zero);
          const MatrixView<const T> view = matrix<const T>(a, "a");
          if (view.rows != view.cols) throw py::value_error("a: expected a square matrix");
          py::gil_scoped_release release;
          return asymmetry<T>(view, context);
        });
      },
      py::arg("a"), py::arg("num_threads"), "largest scaled |a - a^T|, or NaN where a is not finite");
}

}  // namespace fastlae::bindings
