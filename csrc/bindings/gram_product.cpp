#include "fastlae/gram_product.hpp"

#include "arrays.hpp"

namespace fastlae::bindings {

void register_gram_product(py::module_& m) {
  m.def(
      "gram_product",
      [](const py::array& indptr, const py::array& indices, const py::object& values, const py::array& e,
         const py::object& ridge, const py::array& out, int num_threads) {
        const Context context = make_context(num_threads);
        dispatch(e, "E", [&](auto zero) {
          using T = decltype(zero);
          const auto from = matrix<const T>(e, "E");
          const auto x = csr<T>(indptr, indices, values, from.rows, "X", context);
          const T* diagonal = ridge.is_none() ? nullptr : vector<const T>(ridge.cast<py::array>(), "l2", from.rows);
          const auto to = matrix<T>(out, "out", from.rows, from.cols);
          py::gil_scoped_release release;
          gram_product<T>(x, from, diagonal, to, context);
        });
      },
      py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("E"), py::arg("l2"), py::arg("out"),
      py::arg("num_threads"), "out <- (X^T X + diag(l2)) E");
}

}  // namespace fastlae::bindings
