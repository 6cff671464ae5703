#include "fastlae/swish_norm.hpp"

#include "arrays.hpp"

namespace fastlae::bindings {

void register_swish_norm(py::module_& m) {
  m.def(
      "swish_norm",
      [](const py::array& given, const py::object& added, const py::object& past, const py::array& weight,
         const py::array& bias, double eps, const py::array& out, const py::object& out_total,
         const py::array& out_mean, const py::array& out_scale, int num_threads) {
        const Context context = make_context(num_threads);
        dispatch(given, "x", [&](auto zero) {
          using T = decltype(zero);
          const auto x = matrix<const T>(given, "x");
          const T* const layer_bias = optional_vector<const T>(added, "layer_bias", x.cols);
          const auto residual = optional_matrix<const T>(past, "residual", x.rows, x.cols);
          const T* const w = vector<const T>(weight, "weight", x.cols);
          const T* const b = vector<const T>(bias, "bias", x.cols);
          const auto y = matrix<T>(out, "out", x.rows, x.cols);
          const auto total = optional_matrix<T>(out_total, "out_total", x.rows, x.cols);
          T* const mean = vector<T>(out_mean, "out_mean", x.rows);
          T* const scale = vector<T>(out_scale, "out_scale", x.rows);
          py::gil_scoped_release release;
          swish_norm<T>(x, layer_bias, residual, w, b, eps, y, total, mean, scale, context);
        });
      },
      py::arg("x"), py::arg("layer_bias"), py::arg("residual"), py::arg("weight"), py::arg("bias"), py::arg("eps"),
      py::arg("out"), py::arg("out_total"), py::arg("out_mean"), py::arg("out_scale"), py::arg("num_threads"),
      "swish and layer norm of every row");
  m.def(
      "swish_norm_backward",
      [](const py::array& of_y, const py::object& of_total, const py::array& given, const py::object& added,
         const py::object& past, const py::array& weight, const py::array& mean, const py::array& scale,
         const py::array& out_x, const py::object& out_residual, const py::array& out_weight, const py::array& out_bias,
         const py::object& out_layer_bias, int num_threads) {
        const Context context = make_context(num_threads);
        dispatch(given, "x", [&](auto zero) {
          using T = decltype(zero);
          const auto x = matrix<const T>(given, "x");
          const T* const layer_bias = optional_vector<const T>(added, "layer_bias", x.cols);
          const auto residual = optional_matrix<const T>(past, "residual", x.rows, x.cols);
          const auto dy = matrix<const T>(of_y, "grad", x.rows, x.cols);
          const auto dtotal = optional_matrix<const T>(of_total, "grad_total", x.rows, x.cols);
          const T* const w = vector<const T>(weight, "weight", x.cols);
          const T* const middle = vector<const T>(mean, "mean", x.rows);
          const T* const factor = vector<const T>(scale, "scale", x.rows);
          const auto dx = matrix<T>(out_x, "out_x", x.rows, x.cols);
          const auto dresidual = optional_matrix<T>(out_residual, "out_residual", x.rows, x.cols);
          T* const dw = vector<T>(out_weight, "out_weight", x.cols);
          T* const db = vector<T>(out_bias, "out_bias", x.cols);
          T* const dlayer = optional_vector<T>(out_layer_bias, "out_layer_bias", x.cols);
          py::gil_scoped_release release;
          swish_norm_backward<T>(dy, dtotal, x, layer_bias, residual, w, middle, factor, dx, dresidual, dw, db, dlayer,
                                 context);
        });
      },
      py::arg("grad"), py::arg("grad_total"), py::arg("x"), py::arg("layer_bias"), py::arg("residual"),
      py::arg("weight"), py::arg("mean"), py::arg("scale"), py::arg("out_x"), py::arg("out_residual"),
      py::arg("out_weight"), py::arg("out_bias"), py::arg("out_layer_bias"), py::arg("num_threads"),
      "gradients of swish_norm");
}

}  // namespace fastlae::bindings
