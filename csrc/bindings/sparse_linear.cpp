#include "fastlae/sparse_linear.hpp"

#include "arrays.hpp"

namespace fastlae::bindings {

void register_sparse_linear(py::module_& m) {
  m.def(
      "sparse_linear",
      [](const py::array& indptr, const py::array& indices, const py::object& values, const py::array& w,
         const py::object& bias, const py::array& out, int num_threads) {
        const Context context = make_context(num_threads);
        dispatch(w, "weight", [&](auto zero) {
          using T = decltype(zero);
          const auto weight = matrix<const T>(w, "weight");
          const auto x = csr<T>(indptr, indices, values, weight.rows, "x");
          const T* added = bias.is_none() ? nullptr : vector<const T>(bias.cast<py::array>(), "bias", weight.cols);
          const auto to = matrix<T>(out, "out", x.rows, weight.cols);
          py::gil_scoped_release release;
          sparse_linear<T>(x, weight, added, to, context);
        });
      },
      py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("weight"), py::arg("bias"), py::arg("out"),
      py::arg("num_threads"), "out <- X weight + bias");
  m.def(
      "sparse_linear_backward",
      [](const py::array& indptr, const py::array& indices, const py::object& values, const py::array& g,
         const py::array& out, int num_threads) {
        const Context context = make_context(num_threads);
        dispatch(g, "grad", [&](auto zero) {
          using T = decltype(zero);
          const auto to = matrix<T>(out, "out");
          const auto x = csr<T>(indptr, indices, values, to.rows, "x");
          const auto grad = matrix<const T>(g, "grad", x.rows, to.cols);
          py::gil_scoped_release release;
          sparse_linear_backward<T>(x, grad, to, context);
        });
      },
      py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("grad"), py::arg("out"), py::arg("num_threads"),
      "out <- X^T grad");
}

}  // namespace fastlae::bindings
