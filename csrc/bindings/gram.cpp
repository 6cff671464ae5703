#include "fastlae/gram.hpp"

#include <algorithm>

#include "arrays.hpp"

namespace fastlae::bindings {

namespace {

/// A packed lower triangle of order n, as SymmetricView describes it.
template <class T>
SymmetricView<T> packed(const py::array& a, const char* name, std::int64_t n, const py::object& tile) {
  if (n < 0) throw py::value_error("items: expected at least 0, got " + std::to_string(n));
  if (tile.is_none()) throw py::value_error("tile: needed where out is packed");
  SymmetricView<T> view;
  view.n = n;
  view.tile = tile.cast<std::int64_t>();
  if (view.tile < 1) throw py::value_error("tile: expected at least 1, got " + std::to_string(view.tile));
  view.tile = std::min(view.tile, std::max<std::int64_t>(1, n));
  std::int64_t size = 0;
  for (std::int64_t i = 0; i < view.tiles(); ++i) size += view.size(i) * std::min(n, (i + 1) * view.tile);
  view.data = vector<T>(a, name, size);
  return view;
}

}  // namespace

void register_gram(py::module_& m) {
  m.def(
      "gram",
      [](const py::array& indptr, const py::array& indices, const py::object& values, const py::object& weights,
         const py::array& out, int num_threads, const py::object& tile, const py::object& items) {
        const Context context = make_context(num_threads);
        dispatch(out, "out", [&](auto zero) {
          using T = decltype(zero);
          const bool full = out.ndim() != 1;
          MatrixView<T> g;
          SymmetricView<T> lower;
          if (full) {
            if (!tile.is_none()) throw py::value_error("out: one dimension is expected where tile is given");
            g = matrix<T>(out, "out");
            if (g.rows != g.cols) throw py::value_error("out: expected a square matrix");
          } else {
            if (items.is_none()) throw py::value_error("items: needed where out is packed");
            lower = packed<T>(out, "out", items.cast<std::int64_t>(), tile);
          }
          const CsrView<T> x = csr<T>(indptr, indices, values, full ? g.cols : lower.n, "X", context);
          const double* w =
              weights.is_none() ? nullptr : vector<const double>(weights.cast<py::array>(), "user_weights", x.rows);
          py::gil_scoped_release release;
          if (full)
            gram<T>(x, w, g, context);
          else
            gram<T>(x, w, lower, context);
        });
      },
      py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("weights"), py::arg("out"),
      py::arg("num_threads"), py::arg("tile") = py::none(), py::arg("items") = py::none(),
      "out <- X^T diag(weights) X; with one dimension, its lower triangle packed in tiles");
}

}  // namespace fastlae::bindings
