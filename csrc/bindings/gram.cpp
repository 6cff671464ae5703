#include "fastlae/gram.hpp"

#include "arrays.hpp"

namespace fastlae::bindings {

void register_gram(py::module_& m) {
  m.def(
      "gram",
      [](const py::array& indptr, const py::array& indices, const py::object& values, const py::object& weights,
         const py::array& out, int num_threads) {
        const Context context = make_context(num_threads);
        dispatch(out, "out", [&](auto zero) {
          using T = decltype(zero);
          const MatrixView<T> g = matrix<T>(out, "out");
          const CsrView<T> x = csr<T>(indptr, indices, values, g.cols, "X");
          if (g.rows != g.cols) throw py::value_error("out: expected a square matrix");
          const double* w =
              weights.is_none() ? nullptr : vector<const double>(weights.cast<py::array>(), "user_weights", x.rows);
          py::gil_scoped_release release;
          gram<T>(x, w, g, context);
        });
      },
      py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("weights"), py::arg("out"),
      py::arg("num_threads"), "out <- X^T diag(weights) X");
}

}  // namespace fastlae::bindings
