#include "fastlae/multinomial.hpp"

#include "arrays.hpp"

namespace fastlae::bindings {

namespace {

void register_of_scores(py::module_& m) {
  m.def(
      "multinomial_nll",
      [](const py::array& logits, const py::array& indptr, const py::array& indices, const py::object& values,
         const py::array& out_loss, const py::array& out_lse, int num_threads) {
        const Context context = make_context(num_threads);
        dispatch(logits, "logits", [&](auto zero) {
          using T = decltype(zero);
          const auto z = matrix<const T>(logits, "logits");
          const auto x = csr<T>(indptr, indices, values, z.cols, "x");
          if (x.rows != z.rows) throw py::value_error("x: expected " + std::to_string(z.rows) + " rows");
          T* const loss = vector<T>(out_loss, "loss", z.rows);
          T* const lse = vector<T>(out_lse, "lse", z.rows);
          py::gil_scoped_release release;
          multinomial_nll<T>(z, x, loss, lse, context);
        });
      },
      py::arg("logits"), py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("loss"), py::arg("lse"),
      py::arg("num_threads"), "loss and logsumexp of every row");
  m.def(
      "multinomial_nll_backward",
      [](const py::array& of_loss, const py::array& lse, const py::array& logits, const py::array& indptr,
         const py::array& indices, const py::object& values, const py::array& out, int num_threads) {
        const Context context = make_context(num_threads);
        dispatch(logits, "logits", [&](auto zero) {
          using T = decltype(zero);
          const auto z = matrix<const T>(logits, "logits");
          const auto x = csr<T>(indptr, indices, values, z.cols, "x");
          if (x.rows != z.rows) throw py::value_error("x: expected " + std::to_string(z.rows) + " rows");
          const T* const grad = vector<const T>(of_loss, "grad", z.rows);
          const T* const log_sums = vector<const T>(lse, "lse", z.rows);
          const auto to = matrix<T>(out, "out", z.rows, z.cols);
          py::gil_scoped_release release;
          multinomial_nll_backward<T>(grad, log_sums, z, x, to, context);
        });
      },
      py::arg("grad"), py::arg("lse"), py::arg("logits"), py::arg("indptr"), py::arg("indices"), py::arg("values"),
      py::arg("out"), py::arg("num_threads"), "out <- diag(grad) (diag(total) softmax(logits) - X)");
}

}  // namespace

void register_multinomial(py::module_& m) {
  register_of_scores(m);
  m.def(
      "softmax_mean",
      [](const py::array& from, const py::array& weight, const py::object& bias, const py::array& out_lse,
         const py::object& out_mean, int num_threads) {
        const Context context = make_context(num_threads);
        dispatch(from, "z", [&](auto zero) {
          using T = decltype(zero);
          const auto z = matrix<const T>(from, "z");
          const auto w = matrix<const T>(weight, "weight");
          if (w.rows < 1 || (z.rows > 0 && w.cols != z.cols))
            throw py::value_error("weight: expected at least one row, and as many columns as z");
          const T* const added = optional_vector<const T>(bias, "bias", w.rows);
          T* const lse = vector<T>(out_lse, "lse", z.rows);
          const auto mean = optional_matrix<T>(out_mean, "mean", z.rows, z.cols);
          py::gil_scoped_release release;
          softmax_mean<T>(z, w, added, lse, mean, context);
        });
      },
      py::arg("z"), py::arg("weight"), py::arg("bias"), py::arg("lse"), py::arg("mean"), py::arg("num_threads"),
      "logsumexp of every row of z weight^T + bias, and the mean of weight's rows under the softmax");
  m.def(
      "linear_multinomial_nll_backward",
      [](const py::array& of_loss, const py::array& lse, const py::array& from, const py::array& weight,
         const py::object& bias, const py::array& indptr, const py::array& indices, const py::object& values,
         const py::object& out_weight, const py::array& out_bias, int num_threads) {
        const Context context = make_context(num_threads);
        dispatch(from, "z", [&](auto zero) {
          using T = decltype(zero);
          const auto z = matrix<const T>(from, "z");
          const auto w = matrix<const T>(weight, "weight");
          if (z.rows > 0 && w.cols != z.cols) throw py::value_error("weight: expected as many columns as z");
          const T* const added = optional_vector<const T>(bias, "bias", w.rows);
          const auto x = csr<T>(indptr, indices, values, w.rows, "x");
          if (x.rows != z.rows) throw py::value_error("x: expected " + std::to_string(z.rows) + " rows");
          const T* const grad = vector<const T>(of_loss, "grad", z.rows);
          const T* const log_sums = vector<const T>(lse, "lse", z.rows);
          const auto dw = optional_matrix<T>(out_weight, "out_weight", w.rows, w.cols);
          T* const db = vector<T>(out_bias, "out_bias", w.rows);
          py::gil_scoped_release release;
          linear_multinomial_nll_backward<T>(grad, log_sums, z, w, added, x, dw, db, context);
        });
      },
      py::arg("grad"), py::arg("lse"), py::arg("z"), py::arg("weight"), py::arg("bias"), py::arg("indptr"),
      py::arg("indices"), py::arg("values"), py::arg("out_weight"), py::arg("out_bias"), py::arg("num_threads"),
      "gradients of the loss to weight and bias");
}

}  // namespace fastlae::bindings
