#include "fastlae/product.hpp"

#include "arrays.hpp"

namespace fastlae::bindings {

void register_product(py::module_& m) {
  m.def(
      "product",
      [](const py::array& a, const py::array& b, const py::array& out, int num_threads) {
        const Context context = make_context(num_threads);
        dispatch(out, "out", [&](auto zero) {
          using T = decltype(zero);
          const auto left = matrix<const T>(a, "a");
          const auto right = matrix<const T>(b, "b");
          if (left.cols != right.rows) throw py::value_error("b: expected as many rows as a has columns");
          const auto to = matrix<T>(out, "out", left.rows, right.cols);
          py::gil_scoped_release release;
          product<T>(left, right, to, context);
        });
      },
      py::arg("a"), py::arg("b"), py::arg("out"), py::arg("num_threads"), "out <- a b");
  m.def(
      "transposed_product",
      [](const py::array& a, const py::array& b, const py::array& out, int num_threads) {
        const Context context = make_context(num_threads);
        dispatch(out, "out", [&](auto zero) {
          using T = decltype(zero);
          const auto left = matrix<const T>(a, "a");
          const auto right = matrix<const T>(b, "b");
          if (left.rows != right.rows) throw py::value_error("b: expected as many rows as a has");
          const auto to = matrix<T>(out, "out", left.cols, right.cols);
          py::gil_scoped_release release;
          transposed_product<T>(left, right, to, context);
        });
      },
      py::arg("a"), py::arg("b"), py::arg("out"), py::arg("num_threads"), "out <- a^T b");
}

}  // namespace fastlae::bindings
