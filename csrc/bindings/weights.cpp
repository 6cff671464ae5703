#include "fastlae/weights.hpp"

#include "arrays.hpp"

namespace fastlae::bindings {

void register_weights(py::module_& m) {
  m.def(
      "diagonal_weights",
      [](const py::array& c, const py::array& alpha, const py::array& beta, const py::object& row_scale,
         const py::array& out, int num_threads) {
        const Context context = make_context(num_threads);
        dispatch(out, "out", [&](auto zero) {
          using T = decltype(zero);
          const auto from = matrix<const T>(c, "C");
          const std::int64_t n = from.rows;
          if (from.cols != n) throw py::value_error("C: expected a square matrix");
          const auto to = matrix<T>(out, "out", n, n);
          const auto* a = vector<const double>(alpha, "alpha", n);
          const auto* b = vector<const double>(beta, "beta", n);
          const double* r =
              row_scale.is_none() ? nullptr : vector<const double>(row_scale.cast<py::array>(), "row_scale", n);
          py::gil_scoped_release release;
          diagonal_weights<T>(from, a, b, r, to, context);
        });
      },
      py::arg("C"), py::arg("alpha"), py::arg("beta"), py::arg("row_scale"), py::arg("out"), py::arg("num_threads"),
      "out <- diag(row_scale) (diag(alpha) + C diag(beta))");
  m.def(
      "miller_update",
      [](const py::array& h0_inverse, const py::array& v, const py::array& e1, const py::array& e2,
         const py::array& out, const py::array& work, int num_threads) {
        const Context context = make_context(num_threads);
        dispatch(out, "out", [&](auto zero) {
          using T = decltype(zero);
          const auto h = matrix<const T>(h0_inverse, "H0_inv");
          const std::int64_t n = h.rows;
          const auto right = matrix<const T>(v, "V", n, n);
          const auto first = matrix<const T>(e1, "E1", n, n);
          const auto second = matrix<const T>(e2, "E2", n, n);
          const auto to = matrix<T>(out, "out", n, n);
          const auto scratch = matrix<T>(work, "work", n, n);
          if (h.cols != n) throw py::value_error("H0_inv: expected a square matrix");
          py::gil_scoped_release release;
          miller_update<T>(h, right, first, second, to, scratch, context);
        });
      },
      py::arg("H0_inv"), py::arg("V"), py::arg("E1"), py::arg("E2"), py::arg("out"), py::arg("work"),
      py::arg("num_threads"), "columns of out solve the DEQL paper's rank-two updates of H0");
}

}  // namespace fastlae::bindings
