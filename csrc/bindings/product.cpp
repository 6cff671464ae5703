#include "fastlae/product.hpp"

#include <utility>

#include "arrays.hpp"

namespace fastlae::bindings {

void register_product(py::module_& m) {
  m.def(
      "product",
      [](const py::array& a, const py::array& b, const py::array& out, int num_threads, bool transpose_a,
         bool transpose_b) {
        const Context context = make_context(num_threads);
        dispatch(out, "out", [&](auto zero) {
          using T = decltype(zero);
          const Operand<T> left{matrix<const T>(a, "a"), transpose_a}, right{matrix<const T>(b, "b"), transpose_b};
          const auto sizes = [](const Operand<T>& o) {
            return o.transposed ? std::pair(o.matrix.cols, o.matrix.rows) : std::pair(o.matrix.rows, o.matrix.cols);
          };
          if (sizes(left).second != sizes(right).first)
            throw py::value_error("b: expected as many rows as a has columns");
          const auto to = matrix<T>(out, "out", sizes(left).first, sizes(right).second);
          py::gil_scoped_release release;
          product<T>(left, right, to, context);
        });
      },
      py::arg("a"), py::arg("b"), py::arg("out"), py::arg("num_threads"), py::arg("transpose_a") = false,
      py::arg("transpose_b") = false, "out <- op(a) op(b)");
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
