#include "fastlae/score.hpp"

#include "arrays.hpp"

namespace fastlae::bindings {

void register_score(py::module_& m) {
  m.def(
      "score",
      [](const py::array& indptr, const py::array& indices, const py::object& values, const py::array& w,
         const py::array& out, int num_threads) {
        const Context context = make_context(num_threads);
        dispatch_stored(w, "W", [&](auto zero) {
          using Stored = decltype(zero);
          using T = Accumulator<Stored>;
          const auto weights = matrix<const Stored>(w, "W");
          const auto x = csr<T>(indptr, indices, values, weights.rows, "X", context);
          const auto to = matrix<T>(out, "out", x.rows, weights.cols);
          py::gil_scoped_release release;
          score<Stored>(x, weights, to, context);
        });
      },
      py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("W"), py::arg("out"), py::arg("num_threads"),
      "out <- X W");
  m.def(
      "quadratic_diagonal",
      [](const py::array& indptr, const py::array& indices, const py::object& values, const py::array& matrix_,
         std::int64_t n, std::int64_t tile, const py::array& out, int num_threads) {
        const Context context = make_context(num_threads);
        dispatch(matrix_, "M", [&](auto zero) {
          using T = decltype(zero);
          const auto square = symmetric<const T>(matrix_, "M", n, tile);
          const auto x = csr<T>(indptr, indices, values, n, "X");
          auto* q = vector<double>(out, "out", x.rows);
          py::gil_scoped_release release;
          quadratic_diagonal<T>(x, square, q, context);
        });
      },
      py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("M"), py::arg("n"), py::arg("tile"),
      py::arg("out"), py::arg("num_threads"), "out <- diagonal of X M X^T");
}

}  // namespace fastlae::bindings
