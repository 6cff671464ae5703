#include "fastlae/topk.hpp"

#include "arrays.hpp"
#include "selection.hpp"

namespace fastlae::bindings {

void register_topk(py::module_& m) {
  m.def(
      "topk",
      [](const py::array& s, const py::object& scale, const py::object& seen, const py::object& columns,
         const py::array& items, const py::array& scores, int num_threads) {
        const Context context = make_context(num_threads);
        dispatch(s, "scores", [&](auto zero) {
          using T = decltype(zero);
          const auto from = matrix<const T>(s, "scores");
          const T* factor = scale.is_none() ? nullptr : vector<const T>(scale.cast<py::array>(), "scale", from.cols);
          const Hidden hidden = hidden_view(seen, columns, from.rows, from.cols);
          const auto [to_items, to_scores] = best_views(items, scores, from.rows);
          py::gil_scoped_release release;
          topk<T>(from, factor, hidden, to_items, to_scores, context);
        });
      },
      py::arg("scores"), py::arg("scale"), py::arg("seen"), py::arg("columns"), py::arg("items"), py::arg("out"),
      py::arg("num_threads"), "the k best of every row");
  m.def(
      "topk_scaled",
      [](const py::array& s, const py::array& scales, const py::object& seen, const py::array& items, std::int64_t k,
         int num_threads) {
        const Context context = make_context(num_threads);
        dispatch(s, "scores", [&](auto zero) {
          using T = decltype(zero);
          const auto from = matrix<const T>(s, "scores");
          const auto factors = matrix<const T>(scales, "scales");
          if (factors.cols != from.cols || k < 1) throw py::value_error("scales: expected as many columns as scores");
          const Hidden hidden = hidden_view(seen, py::none(), from.rows, from.cols);
          auto* const to = vector<std::int32_t>(items, "items", factors.rows * from.rows * k);
          py::gil_scoped_release release;
          topk_scaled<T>(from, factors, hidden, to, k, context);
        });
      },
      py::arg("scores"), py::arg("scales"), py::arg("seen"), py::arg("items"), py::arg("k"), py::arg("num_threads"),
      "the items of topk for every one of the scales");
  m.def(
      "recommend",
      [](const py::array& indptr, const py::array& indices, const py::object& values, const py::array& w,
         const py::object& seen, const py::object& columns, const py::array& items, const py::array& scores,
         int num_threads) {
        const Context context = make_context(num_threads);
        dispatch_stored(w, "W", [&](auto zero) {
          using Stored = decltype(zero);
          const auto weights = matrix<const Stored>(w, "W");
          const auto x = csr<Accumulator<Stored>>(indptr, indices, values, weights.rows, "X", context);
          const Hidden hidden = hidden_view(seen, columns, x.rows, weights.cols);
          const auto [to_items, to_scores] = best_views(items, scores, x.rows);
          py::gil_scoped_release release;
          recommend<Stored>(x, weights, hidden, to_items, to_scores, context);
        });
      },
      py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("W"), py::arg("seen"), py::arg("columns"),
      py::arg("items"), py::arg("out"), py::arg("num_threads"), "the k best of every row of X W");
  m.def(
      "recommend_sparse",
      [](const py::array& indptr, const py::array& indices, const py::object& values, const py::tuple& w,
         std::int64_t n, const py::object& seen, const py::object& columns, const py::array& items,
         const py::array& scores, int num_threads) {
        const Context context = make_context(num_threads);
        const auto w_values = w[2].cast<py::array>();
        const auto w_indptr = w[0].cast<py::array>();
        const auto call = [&](auto zero, auto pointer) {
          using T = decltype(zero);
          using Pointer = decltype(pointer);
          CsrView<T, Pointer> weights;  // the kernel checks its structure
          weights.rows = w_indptr.size() - 1;
          if (weights.rows < 0) throw py::value_error("W: expected row pointers");
          weights.cols = n;
          weights.indptr = vector<const Pointer>(w_indptr, "W", weights.rows + 1);
          const std::int64_t entries = w_values.size();
          weights.indices = vector<const std::int32_t>(w[1].cast<py::array>(), "W", entries);
          weights.values = vector<const T>(w_values, "W", entries);
          const auto x = csr<T>(indptr, indices, values, weights.rows, "X", context);
          const Hidden hidden = hidden_view(seen, columns, x.rows, n);
          const auto [to_items, to_scores] = best_views(items, scores, x.rows);
          py::gil_scoped_release release;
          recommend<T>(x, weights, entries, hidden, to_items, to_scores, context);
        };
        dispatch(w_values, "W", [&](auto zero) {
          if (has_dtype<std::int32_t>(w_indptr))
            call(zero, std::int32_t{});
          else
            call(zero, std::int64_t{});
        });
      },
      py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("W"), py::arg("n"), py::arg("seen"),
      py::arg("columns"), py::arg("items"), py::arg("out"), py::arg("num_threads"),
      "the k best of every row of X W, W = (indptr, indices, values)");
}

}  // namespace fastlae::bindings
