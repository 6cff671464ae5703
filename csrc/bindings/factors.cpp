#include "fastlae/factors.hpp"

#include "arrays.hpp"
#include "selection.hpp"

namespace fastlae::bindings {

void register_factors(py::module_& m) {
  m.def(
      "recommend_factors",
      [](const py::array& users, const py::array& factors, const py::object& bias, const py::object& seen,
         const py::object& columns, const py::array& items, const py::array& scores, int num_threads) {
        const Context context = make_context(num_threads);
        dispatch(factors, "E", [&](auto zero) {
          using T = decltype(zero);
          const auto e = matrix<const T>(factors, "E");
          const auto p = matrix<const T>(users, "P");
          if (p.cols != e.cols) throw py::value_error("P: expected as many columns as E has");
          const T* b = bias.is_none() ? nullptr : vector<const T>(bias.cast<py::array>(), "bias", e.rows);
          const Hidden hidden = hidden_view(seen, columns, p.rows, e.rows);
          const auto [to_items, to_scores] = best_views(items, scores, p.rows);
          py::gil_scoped_release release;
          recommend_factors<T>(p, e, b, hidden, to_items, to_scores, context);
        });
      },
      py::arg("P"), py::arg("E"), py::arg("bias"), py::arg("seen"), py::arg("columns"), py::arg("items"),
      py::arg("out"), py::arg("num_threads"), "the k best of every row of P E^T + bias");
  m.def(
      "score_factors",
      [](const py::array& users, const py::array& factors, const py::object& bias, const py::array& out,
         int num_threads) {
        const Context context = make_context(num_threads);
        dispatch(factors, "E", [&](auto zero) {
          using T = decltype(zero);
          const auto e = matrix<const T>(factors, "E");
          const auto p = matrix<const T>(users, "P");
          if (p.cols != e.cols) throw py::value_error("P: expected as many columns as E has");
          const T* b = bias.is_none() ? nullptr : vector<const T>(bias.cast<py::array>(), "bias", e.rows);
          const auto to = matrix<T>(out, "out", p.rows, e.rows);
          py::gil_scoped_release release;
          score_factors<T>(p, e, b, to, context);
        });
      },
      py::arg("P"), py::arg("E"), py::arg("bias"), py::arg("out"), py::arg("num_threads"), "out <- P E^T + bias");
}

}  // namespace fastlae::bindings
