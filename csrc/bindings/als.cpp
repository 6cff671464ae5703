#include "fastlae/als.hpp"

#include <vector>

#include "arrays.hpp"

namespace fastlae::bindings {

namespace {

/// (indptr, indices, weights or None, weight, targets or None, offset, factors), as AlsTerm has them.
template <class T>
AlsTerm<T> term(const py::handle& parts, std::int64_t rows, std::int64_t dim) {
  const auto tuple = parts.cast<py::tuple>();
  AlsTerm<T> result;
  result.fixed = matrix<const T>(tuple[6].cast<py::array>(), "factors");
  if (result.fixed.cols != dim) throw py::value_error("factors: expected as many columns as P has");
  result.x = csr<T>(tuple[0].cast<py::array>(), tuple[1].cast<py::array>(), tuple[2], result.fixed.rows, "X");
  if (result.x.rows != rows) throw py::value_error("X: expected as many rows as P has");
  result.weight = tuple[3].cast<T>();
  if (!tuple[4].is_none()) result.targets = vector<const T>(tuple[4].cast<py::array>(), "targets", result.x.nnz());
  result.offset = tuple[5].cast<T>();
  return result;
}

}  // namespace

void register_als(py::module_& m) {
  m.def(
      "als_rows",
      [](const py::list& terms, const py::array& shared, const py::array& ridge, const py::object& prior,
         const py::array& p, int steps, int num_threads) {
        const Context context = make_context(num_threads);
        dispatch(p, "P", [&](auto zero) {
          using T = decltype(zero);
          const auto out = matrix<T>(p, "P");
          std::vector<AlsTerm<T>> all;
          for (const py::handle& one : terms) all.push_back(term<T>(one, out.rows, out.cols));
          const auto square = matrix<const T>(shared, "shared", out.cols, out.cols);
          const T* diagonal = vector<const T>(ridge, "ridge", out.rows);
          MatrixView<const T> start;
          if (!prior.is_none()) start = matrix<const T>(prior.cast<py::array>(), "prior", out.rows, out.cols);
          py::gil_scoped_release release;
          als_rows<T>(all.data(), static_cast<int>(all.size()), square, diagonal, start, out, steps, context);
        });
      },
      py::arg("terms"), py::arg("shared"), py::arg("ridge"), py::arg("prior"), py::arg("P"), py::arg("steps"),
      py::arg("num_threads"), "rows of P <- solutions of their least-squares problems");
}

}  // namespace fastlae::bindings
