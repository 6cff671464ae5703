// CUDA kernels of the factor models and of SLIM, and what ranking metrics count.
#include <vector>

#include "device_selection.hpp"
#include "fastlae/cuda/als.hpp"
#include "fastlae/cuda/factors.hpp"
#include "fastlae/cuda/metrics.hpp"
#include "fastlae/cuda/slim.hpp"

namespace fastlae::bindings {

namespace {

using cuda::DeviceGuard;

void register_factors(py::module_& m) {
  m.def("factors_workspace", &cuda::factors_workspace, py::arg("users"), py::arg("n"), py::arg("k"),
        py::arg("itemsize"), "bytes");
  m.def(
      "recommend_factors",
      [](py::handle p, py::handle e, py::handle bias, const py::object& seen, py::handle columns, py::handle items,
         py::handle scores, py::handle workspace, std::uintptr_t stream) {
        dispatch_device(p, "P", [&](auto zero) {
          using T = decltype(zero);
          DeviceArguments arguments(stream);
          const auto users = arguments.matrix<const T>(p, "P");
          const auto objects = arguments.matrix<const T>(e, "E", -1, users.cols);
          const auto* const shift = arguments.optional_vector<const T>(bias, "bias", objects.rows);
          const cuda::Hidden hidden = hidden_view(arguments, seen, columns, users.rows, objects.rows);
          const Lists to = lists(arguments, items, scores, users.rows);
          arguments.workspace(workspace);
          const DeviceGuard guard(arguments.context().device);
          cuda::recommend_factors<T>(users, objects, shift, hidden, to.items, to.scores, arguments.context());
        });
      },
      py::arg("P"), py::arg("E"), py::arg("bias"), py::arg("seen"), py::arg("columns"), py::arg("items"),
      py::arg("out"), py::arg("workspace"), py::arg("stream"), "the k best of every row of P E^T + bias");
  m.def(
      "score_factors",
      [](py::handle p, py::handle e, py::handle bias, py::handle out, std::uintptr_t stream) {
        dispatch_device(p, "P", [&](auto zero) {
          using T = decltype(zero);
          DeviceArguments arguments(stream);
          const auto users = arguments.matrix<const T>(p, "P");
          const auto objects = arguments.matrix<const T>(e, "E", -1, users.cols);
          const auto* const shift = arguments.optional_vector<const T>(bias, "bias", objects.rows);
          const auto to = arguments.matrix<T>(out, "out", users.rows, objects.rows);
          const DeviceGuard guard(arguments.context().device);
          cuda::score_factors<T>(users, objects, shift, to, arguments.context());
        });
      },
      py::arg("P"), py::arg("E"), py::arg("bias"), py::arg("out"), py::arg("stream"), "out <- P E^T + bias");
}

/// (indptr, indices, weights or None, weight, targets or None, offset, factors), as AlsTerm has them.
template <class T>
cuda::AlsTerm<T> als_term(DeviceArguments& arguments, const py::handle& parts, std::int64_t rows, std::int64_t dim) {
  const auto tuple = parts.cast<py::tuple>();
  cuda::AlsTerm<T> result;
  result.fixed = arguments.matrix<const T>(tuple[6], "factors", -1, dim);
  result.x = arguments.csr<T>(tuple[0], tuple[1], tuple[2], result.fixed.rows, "X");
  if (result.x.rows != rows) throw py::value_error("X: expected as many rows as P has");
  result.weight = tuple[3].cast<T>();
  result.targets = arguments.optional_vector<const T>(tuple[4], "targets", result.x.nnz);
  result.offset = tuple[5].cast<T>();
  return result;
}

void register_als(py::module_& m) {
  m.def("als_rows_workspace", &cuda::als_rows_workspace, py::arg("rows"), py::arg("dim"), py::arg("steps"),
        py::arg("itemsize"), "bytes");
  m.def(
      "als_rows",
      [](const py::list& terms, py::handle shared, py::handle ridge, py::handle prior, py::handle p, int steps,
         py::handle info, py::handle workspace, std::uintptr_t stream) {
        if (py::len(terms) > cuda::kMostAlsTerms) throw py::value_error("terms: too many");
        dispatch_device(p, "P", [&](auto zero) {
          using T = decltype(zero);
          DeviceArguments arguments(stream);
          const auto out = arguments.matrix<T>(p, "P");
          std::vector<cuda::AlsTerm<T>> all;
          for (const py::handle& one : terms) all.push_back(als_term<T>(arguments, one, out.rows, out.cols));
          const auto square = arguments.matrix<const T>(shared, "shared", out.cols, out.cols);
          const auto* const diagonal = arguments.vector<const T>(ridge, "ridge", out.rows);
          MatrixView<const T> start;
          if (!prior.is_none()) start = arguments.matrix<const T>(prior, "prior", out.rows, out.cols);
          auto* const row = arguments.vector<std::int32_t>(info, "info", 1);
          arguments.workspace(workspace);
          const DeviceGuard guard(arguments.context().device);
          cuda::als_rows<T>(all.data(), static_cast<int>(all.size()), square, diagonal, start, out, steps, row,
                            arguments.context());
        });
      },
      py::arg("terms"), py::arg("shared"), py::arg("ridge"), py::arg("prior"), py::arg("P"), py::arg("steps"),
      py::arg("info"), py::arg("workspace"), py::arg("stream"),
      "rows of P <- solutions of their least-squares problems; info <- -1, or a row that has none");
}

void register_slim(py::module_& m) {
  m.def("slim_workspace", &cuda::slim_workspace, py::arg("n"), py::arg("columns"), "bytes");
  m.def(
      "slim",
      [](py::handle gram, double l1, double l2, bool nonnegative, double tolerance, std::int64_t max_sweeps,
         const py::object& start, std::int64_t first, std::int64_t columns, py::handle starts, py::handle counts,
         py::handle violations, py::handle total, py::handle items, py::handle values, py::handle workspace,
         std::uintptr_t stream) {
        dispatch_device(gram, "G", [&](auto zero) {
          using T = decltype(zero);
          DeviceArguments arguments(stream);
          const auto g = arguments.matrix<const T>(gram, "G");
          const std::int64_t n = g.rows;
          if (g.cols != n) throw py::value_error("G: expected a square matrix");
          if (first < 0 || columns < 0 || first + columns > n) throw py::value_error("first, columns: out of range");
          cuda::DeviceCsr<T> begin;
          if (!start.is_none()) {
            const auto triple = start.cast<py::tuple>();
            begin = arguments.csr<T>(triple[0], triple[1], triple[2], n, "start");
            if (begin.rows != n) throw py::value_error("start: expected a square matrix of the order of G");
          }
          auto* const to_starts = arguments.vector<std::int64_t>(starts, "starts", columns);
          auto* const to_counts = arguments.vector<std::int32_t>(counts, "counts", columns);
          auto* const misses = arguments.vector<double>(violations, "violations", columns);
          auto* const all = arguments.vector<std::int64_t>(total, "total", 1);
          auto* const to_items = arguments.vector<std::int32_t>(items, "items", columns * n);
          auto* const to_values = arguments.vector<T>(values, "values", columns * n);
          arguments.workspace(workspace);
          const DeviceGuard guard(arguments.context().device);
          cuda::slim<T>(g, {l1, l2, nonnegative, tolerance, max_sweeps}, start.is_none() ? nullptr : &begin, first,
                        columns, to_starts, to_counts, misses, all, to_items, to_values, arguments.context());
        });
      },
      py::arg("G"), py::arg("l1"), py::arg("l2"), py::arg("nonnegative"), py::arg("tolerance"), py::arg("max_sweeps"),
      py::arg("start"), py::arg("first"), py::arg("columns"), py::arg("starts"), py::arg("counts"),
      py::arg("violations"), py::arg("total"), py::arg("items"), py::arg("values"), py::arg("workspace"),
      py::arg("stream"), "columns of W as lists: where they start, and how many weights they have");
}

void register_metrics(py::module_& m) {
  m.def(
      "ranking_sums",
      [](py::handle top, py::handle indptr, py::handle indices, py::handle cutoffs, py::handle hits, py::handle dcg,
         py::handle precision, py::handle reciprocal_rank, std::uintptr_t stream) {
        DeviceArguments arguments(stream);
        const auto lists = arguments.matrix<const std::int32_t>(top, "top");
        const auto targets = arguments.csr<float>(indptr, indices, py::none(), 0, "held_out");
        if (targets.rows != lists.rows) throw py::value_error("held_out: expected as many rows as top has");
        std::int64_t n = 0;
        const auto* const at = arguments.vector<const std::int32_t>(cutoffs, "cutoffs", -1, &n);
        const auto out = [&](py::handle array, const char* name) {
          return arguments.matrix<double>(array, name, lists.rows, n);
        };
        const RankingSums sums{out(hits, "hits"), out(dcg, "dcg"), out(precision, "precision"),
                               out(reciprocal_rank, "reciprocal_rank")};
        const DeviceGuard guard(arguments.context().device);
        cuda::ranking_sums(lists, targets, at, n, sums, arguments.context());
      },
      py::arg("top"), py::arg("indptr"), py::arg("indices"), py::arg("cutoffs"), py::arg("hits"), py::arg("dcg"),
      py::arg("precision"), py::arg("reciprocal_rank"), py::arg("stream"), "what ranking metrics count, user by user");
}

}  // namespace

void register_device_solvers(py::module_& m) {
  register_factors(m);
  register_als(m);
  register_slim(m);
  register_metrics(m);
}

}  // namespace fastlae::bindings
