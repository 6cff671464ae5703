#include "fastlae/metrics.hpp"

#include "arrays.hpp"

namespace fastlae::bindings {

void register_metrics(py::module_& m) {
  m.def(
      "ranking_sums",
      [](const py::array& top, const py::array& indptr, const py::array& indices, std::int64_t n_items,
         const py::array& cutoffs, const py::array& hits, const py::array& dcg, const py::array& precision,
         const py::array& reciprocal_rank, int num_threads) {
        const Context context = make_context(num_threads);
        const MatrixView<const std::int32_t> lists = matrix<const std::int32_t>(top, "top");
        const CsrView<float> targets = csr<float>(indptr, indices, py::none(), n_items, "held_out");
        if (targets.rows != lists.rows)
          throw py::value_error("held_out: expected " + std::to_string(lists.rows) + " rows, got " +
                                std::to_string(targets.rows));
        const std::int64_t n_cutoffs = cutoffs.size();
        const std::int32_t* k = vector<const std::int32_t>(cutoffs, "cutoffs", n_cutoffs);
        bool sound = n_cutoffs > 0;
        for (std::int64_t c = 0; sound && c < n_cutoffs; ++c) sound = k[c] >= (c ? k[c - 1] : 1) && k[c] <= lists.cols;
        if (!sound)
          throw py::value_error("cutoffs: expected ascending numbers from 1 to " + std::to_string(lists.cols));
        const RankingSums sums{matrix<double>(hits, "hits", lists.rows, n_cutoffs),
                               matrix<double>(dcg, "dcg", lists.rows, n_cutoffs),
                               matrix<double>(precision, "precision", lists.rows, n_cutoffs),
                               matrix<double>(reciprocal_rank, "reciprocal_rank", lists.rows, n_cutoffs)};
        py::gil_scoped_release release;
        ranking_sums(lists, targets, k, n_cutoffs, sums, context);
      },
      py::arg("top"), py::arg("indptr"), py::arg("indices"), py::arg("n_items"), py::arg("cutoffs"), py::arg("hits"),
      py::arg("dcg"), py::arg("precision"), py::arg("reciprocal_rank"), py::arg("num_threads"),
      "what ranking metrics count, per user and cut-off");
}

}  // namespace fastlae::bindings
