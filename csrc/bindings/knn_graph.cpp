#include "fastlae/knn_graph.hpp"

#include "arrays.hpp"
#include "selection.hpp"

namespace fastlae::bindings {

void register_knn_graph(py::module_& m) {
  m.def(
      "nearest_neighbours",
      [](const py::tuple& queries, const py::tuple& x, const py::array& rows, const py::array& columns, bool product,
         double overlap, double shrink, bool same, bool ordered, const py::array& neighbours,
         const py::array& similarities, int num_threads) {
        const Context context = make_context(num_threads);
        const auto call = [&](auto zero) {
          using T = decltype(zero);
          const auto indptr = x[0].cast<py::array>();
          const std::int64_t features = indptr.size() - 1, objects = columns.size();
          const auto from = csr<T>(queries[0].cast<py::array>(), queries[1].cast<py::array>(), queries[2],
                                   std::max<std::int64_t>(0, features), "queries");
          const auto to = csr<T>(indptr, x[1].cast<py::array>(), x[2], objects, "X");
          if (same && from.rows != objects) throw py::value_error("queries: expected the objects themselves");
          const Similarity similarity{product, overlap, shrink, vector<const double>(rows, "rows", from.rows),
                                      vector<const double>(columns, "columns", objects)};
          const auto [to_items, to_scores] = best_views(neighbours, similarities, from.rows);
          py::gil_scoped_release release;
          nearest_neighbours<T>(from, to, similarity, same, ordered, to_items, to_scores, context);
        };
        const py::object values = queries[2].is_none() ? py::object(x[2]) : py::object(queries[2]);
        if (values.is_none())
          call(float{});
        else
          dispatch(values.cast<py::array>(), "X", call);
      },
      py::arg("queries"), py::arg("X"), py::arg("rows"), py::arg("columns"), py::arg("product"), py::arg("overlap"),
      py::arg("shrink"), py::arg("same"), py::arg("ordered"), py::arg("neighbours"), py::arg("similarities"),
      py::arg("num_threads"), "the k most similar columns of X, (features, objects), of every row of queries");
  m.def(
      "union_graph",
      [](const py::array& neighbours, const py::array& similarities, int num_threads) {
        const Context context = make_context(num_threads);
        const auto lists = matrix<const std::int32_t>(neighbours, "neighbours");
        const auto values = matrix<const float>(similarities, "similarities", lists.rows, lists.cols);
        for (std::int64_t i = 0; i < lists.rows; ++i)
          for (std::int64_t e = 0; e < lists.cols; ++e)
            if (lists(i, e) >= lists.rows || (e > 0 && lists(i, e) >= 0 && lists(i, e - 1) >= lists(i, e)))
              throw py::value_error("neighbours: expected lists of objects in ascending order");
        std::optional<UnionGraph> graph;
        {
          py::gil_scoped_release release;
          graph.emplace(lists, values, context);
        }
        const std::vector<std::int64_t>& pointers = graph->indptr();
        py::array_t<std::int64_t> indptr(static_cast<py::ssize_t>(pointers.size()), pointers.data());
        py::array_t<std::int32_t> indices(pointers.back());
        py::array_t<float> weights(pointers.back());
        std::int32_t* const to_indices = indices.mutable_data();
        float* const to_weights = weights.mutable_data();
        {
          py::gil_scoped_release release;
          graph->write(to_indices, to_weights, context);
        }
        return py::make_tuple(indptr, indices, weights);
      },
      py::arg("neighbours"), py::arg("similarities"), py::arg("num_threads"),
      "the graph of neighbour lists, each in ascending order, as (indptr, indices, values)");
}

}  // namespace fastlae::bindings
