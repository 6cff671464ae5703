// The compiled module for CUDA devices. Every function queues work on `stream`, the caller's library's current one (as
// an integer), and returns; outputs and workspaces are arrays of that library.
#include "device_selection.hpp"
#include "fastlae/cuda/gram.hpp"
#include "fastlae/cuda/gram_product.hpp"
#include "fastlae/cuda/knn_graph.hpp"
#include "fastlae/cuda/product.hpp"
#include "fastlae/cuda/score.hpp"
#include "fastlae/cuda/spd_inverse.hpp"
#include "fastlae/cuda/weights.hpp"

namespace fastlae::bindings {

void register_device_networks(py::module_&);
void register_device_solvers(py::module_&);

namespace {

using cuda::DeviceGuard;
using cuda::Precision;

Precision precision(bool tensor_cores) {
  return tensor_cores ? Precision::kTf32x3 : Precision::kFull;
}

void register_devices(py::module_& m) {
  m.def(
      "device_count",
      [] {
        const cuda::DeviceCount found = cuda::device_count();
        return py::make_tuple(found.count, found.code, found.message);
      },
      "(count, code, message): where there is none, code and message of the CUDA runtime say why");
  m.def("compute_capability", &cuda::compute_capability, py::arg("device"), "10 * major + minor");
  m.def("load_cublas", &cuda::load_cublas, py::arg("path"), "'' if it is loaded now, or why not");
  m.def("cublas_version", &cuda::cublas_version, "major * 10000 + minor * 100 + patch, or 0 without cuBLAS");
}

void register_gram(py::module_& m) {
  m.def(
      "csr_flags",
      [](py::handle indptr, py::handle indices, py::handle values, std::int64_t cols, py::handle flags,
         std::uintptr_t stream) {
        const auto call = [&](auto zero) {
          using T = decltype(zero);
          DeviceArguments arguments(stream);
          const auto x = arguments.csr<T>(indptr, indices, values, cols, "X");
          auto* const to = arguments.vector<std::int32_t>(flags, "flags", 1);
          const DeviceGuard guard(arguments.context().device);
          cuda::csr_flags<T>(x, to, arguments.context());
        };
        if (values.is_none())
          call(float{});
        else
          dispatch_device(values, "X", call);
      },
      py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("cols"), py::arg("flags"), py::arg("stream"),
      "flags <- what is so about a sparse matrix (CsrFlag)");
  m.def("gram_workspace", &cuda::gram_workspace, py::arg("users"), py::arg("cols"), py::arg("nnz"), "bytes");
  m.def(
      "gram",
      [](py::handle indptr, py::handle indices, py::handle values, py::handle weights, py::handle out,
         std::int64_t head_items, py::handle workspace, std::uintptr_t stream) {
        dispatch_device(out, "out", [&](auto zero) {
          using T = decltype(zero);
          DeviceArguments arguments(stream);
          const auto g = arguments.matrix<T>(out, "out");
          if (g.rows != g.cols) throw py::value_error("out: expected a square matrix");
          const auto x = arguments.csr<T>(indptr, indices, values, g.cols, "X");
          const auto* const w = arguments.optional_vector<const double>(weights, "user_weights", x.rows);
          arguments.workspace(workspace);
          const DeviceGuard guard(arguments.context().device);
          cuda::gram<T>(x, w, g, head_items, arguments.context());
        });
      },
      py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("weights"), py::arg("out"),
      py::arg("head_items"), py::arg("workspace"), py::arg("stream"), "out <- X^T diag(weights) X");
}

void register_spd_inverse(py::module_& m) {
  m.def("inverse_tile", &cuda::inverse_tile, py::arg("n"), "rows of a tile that suit a matrix of order n");
  m.def(
      "spd_inverse_workspace",
      [](std::int64_t n, std::int64_t tile, std::int64_t itemsize, bool tensor_cores) {
        return cuda::spd_inverse_workspace(n, tile, itemsize, precision(tensor_cores));
      },
      py::arg("n"), py::arg("tile"), py::arg("itemsize"), py::arg("tensor_cores"), "bytes");
  m.def(
      "spd_inverse",
      [](py::handle a, std::int64_t tile, py::handle info, bool tensor_cores, py::handle workspace,
         std::uintptr_t stream) {
        if (tile < 1) throw py::value_error("tile: expected at least 1");
        dispatch_device(a, "a", [&](auto zero) {
          using T = decltype(zero);
          DeviceArguments arguments(stream);
          const auto matrix = arguments.matrix<T>(a, "a");
          if (matrix.rows != matrix.cols) throw py::value_error("a: expected a square matrix");
          auto* const row = arguments.vector<std::int32_t>(info, "info", 1);
          arguments.workspace(workspace);
          const DeviceGuard guard(arguments.context().device);
          cuda::spd_inverse<T>(matrix, tile, row, precision(tensor_cores), arguments.context());
        });
      },
      py::arg("a"), py::arg("tile"), py::arg("info"), py::arg("tensor_cores"), py::arg("workspace"), py::arg("stream"),
      "a <- a^-1 (lower triangle read, both written); info <- -1, or the row at which it fails");
  m.def("refine_inverse_workspace", &cuda::refine_inverse_workspace, py::arg("n"), py::arg("itemsize"), "bytes");
  m.def(
      "refine_inverse",
      [](py::handle a, py::handle c, py::handle worst, py::handle workspace, std::uintptr_t stream) {
        dispatch_device(c, "C", [&](auto zero) {
          using T = decltype(zero);
          DeviceArguments arguments(stream);
          const auto inverse = arguments.matrix<T>(c, "C");
          if (inverse.rows != inverse.cols) throw py::value_error("C: expected a square matrix");
          const auto matrix = arguments.matrix<const T>(a, "a", inverse.rows, inverse.rows);
          auto* const to = arguments.vector<double>(worst, "worst", 1);
          arguments.workspace(workspace);
          const DeviceGuard guard(arguments.context().device);
          cuda::refine_inverse<T>(matrix, inverse, to, arguments.context());
        });
      },
      py::arg("a"), py::arg("C"), py::arg("worst"), py::arg("workspace"), py::arg("stream"),
      "C <- C + C (I - a C); worst <- the largest |I - a C|");
  m.def(
      "asymmetry",
      [](py::handle a, py::handle worst, std::uintptr_t stream) {
        dispatch_device(a, "a", [&](auto zero) {
          using T = decltype(zero);
          DeviceArguments arguments(stream);
          const auto matrix = arguments.matrix<const T>(a, "a");
          if (matrix.rows != matrix.cols) throw py::value_error("a: expected a square matrix");
          auto* const to = arguments.vector<double>(worst, "worst", 1);
          const DeviceGuard guard(arguments.context().device);
          cuda::asymmetry<T>(matrix, to, arguments.context());
        });
      },
      py::arg("a"), py::arg("worst"), py::arg("stream"),
      "worst <- largest scaled |a - a^T|, or NaN where a is not finite");
}

void register_weights(py::module_& m) {
  m.def(
      "diagonal_weights",
      [](py::handle c, py::handle alpha, py::handle beta, py::handle row_scale, py::handle out, std::uintptr_t stream) {
        dispatch_device(out, "out", [&](auto zero) {
          using T = decltype(zero);
          DeviceArguments arguments(stream);
          const auto from = arguments.matrix<const T>(c, "C");
          const std::int64_t n = from.rows;
          if (from.cols != n) throw py::value_error("C: expected a square matrix");
          const auto to = arguments.matrix<T>(out, "out", n, n);
          const auto* const a = arguments.vector<const double>(alpha, "alpha", n);
          const auto* const b = arguments.vector<const double>(beta, "beta", n);
          const auto* const r = arguments.optional_vector<const double>(row_scale, "row_scale", n);
          const DeviceGuard guard(arguments.context().device);
          cuda::diagonal_weights<T>(from, a, b, r, to, arguments.context());
        });
      },
      py::arg("C"), py::arg("alpha"), py::arg("beta"), py::arg("row_scale"), py::arg("out"), py::arg("stream"),
      "out <- diag(row_scale) (diag(alpha) + C diag(beta))");
  m.def(
      "miller_update",
      [](py::handle h0_inverse, py::handle v, py::handle e1, py::handle e2, py::handle out, py::handle work,
         std::uintptr_t stream) {
        dispatch_device(out, "out", [&](auto zero) {
          using T = decltype(zero);
          DeviceArguments arguments(stream);
          const auto h = arguments.matrix<const T>(h0_inverse, "H0_inv");
          const std::int64_t n = h.rows;
          if (h.cols != n) throw py::value_error("H0_inv: expected a square matrix");
          const auto right = arguments.matrix<const T>(v, "V", n, n);
          const auto first = arguments.matrix<const T>(e1, "E1", n, n);
          const auto second = arguments.matrix<const T>(e2, "E2", n, n);
          const auto to = arguments.matrix<T>(out, "out", n, n);
          const auto scratch = arguments.matrix<T>(work, "work", n, n);
          const DeviceGuard guard(arguments.context().device);
          cuda::miller_update<T>(h, right, first, second, to, scratch, arguments.context());
        });
      },
      py::arg("H0_inv"), py::arg("V"), py::arg("E1"), py::arg("E2"), py::arg("out"), py::arg("work"), py::arg("stream"),
      "columns of out solve the DEQL paper's rank-two updates of H0");
}

void register_gram_product(py::module_& m) {
  m.def(
      "gram_product",
      [](py::handle indptr, py::handle indices, py::handle values, py::handle e, py::handle ridge, py::handle out,
         std::uintptr_t stream) {
        dispatch_device(e, "E", [&](auto zero) {
          using T = decltype(zero);
          DeviceArguments arguments(stream);
          const auto from = arguments.matrix<const T>(e, "E");
          const auto x = arguments.csr<T>(indptr, indices, values, from.rows, "X");
          const T* diagonal = ridge.is_none() ? nullptr : arguments.vector<const T>(ridge, "l2", from.rows);
          const auto to = arguments.matrix<T>(out, "out", from.rows, from.cols);
          const DeviceGuard guard(arguments.context().device);
          cuda::gram_product<T>(x, from, diagonal, to, arguments.context());
        });
      },
      py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("E"), py::arg("l2"), py::arg("out"),
      py::arg("stream"), "out <- (X^T X + diag(l2)) E");
}

void register_knn_graph(py::module_& m) {
  m.def("similarities_workspace", &cuda::similarities_workspace, py::arg("queries"), py::arg("objects"), "bytes");
  m.def(
      "similarities",
      [](const py::tuple& queries, const py::tuple& x, py::handle rows, py::handle columns, bool product,
         double overlap, double shrink, std::int64_t first, py::handle out, py::handle workspace,
         std::uintptr_t stream) {
        const auto call = [&](auto zero) {
          using T = decltype(zero);
          DeviceArguments arguments(stream);
          const auto to = arguments.matrix<float>(out, "out");
          const auto objects = arguments.csr<T>(x[0], x[1], x[2], to.cols, "X");
          const auto from = arguments.csr<T>(queries[0], queries[1], queries[2], objects.rows, "queries");
          if (from.rows != to.rows) throw py::value_error("out: expected " + std::to_string(from.rows) + " rows");
          const cuda::Similarity similarity{product, overlap, shrink,
                                            arguments.vector<const double>(rows, "rows", to.rows),
                                            arguments.vector<const double>(columns, "columns", to.cols)};
          arguments.workspace(workspace);
          const DeviceGuard guard(arguments.context().device);
          cuda::similarities<T>(from, objects, similarity, first, to, arguments.context());
        };
        const py::object values = queries[2].is_none() ? py::object(x[2]) : py::object(queries[2]);
        if (values.is_none())
          call(float{});
        else
          dispatch_device(values, "X", call);
      },
      py::arg("queries"), py::arg("X"), py::arg("rows"), py::arg("columns"), py::arg("product"), py::arg("overlap"),
      py::arg("shrink"), py::arg("first"), py::arg("out"), py::arg("workspace"), py::arg("stream"),
      "out <- similarities of the rows of queries with the columns of X; -inf where there is none");
}

void register_score(py::module_& m) {
  m.def(
      "score",
      [](py::handle indptr, py::handle indices, py::handle values, py::handle w, py::handle out,
         std::uintptr_t stream) {
        dispatch_device(w, "W", [&](auto zero) {
          using T = decltype(zero);
          DeviceArguments arguments(stream);
          const auto weights = arguments.matrix<const T>(w, "W");
          const auto x = arguments.csr<T>(indptr, indices, values, weights.rows, "X");
          const auto to = arguments.matrix<T>(out, "out", x.rows, weights.cols);
          const DeviceGuard guard(arguments.context().device);
          cuda::score<T>(x, weights, to, arguments.context());
        });
      },
      py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("W"), py::arg("out"), py::arg("stream"),
      "out <- X W");
}

void register_score_of_sparse(py::module_& m) {
  m.def(
      "score_sparse",
      [](py::handle indptr, py::handle indices, py::handle values, const py::tuple& w, py::handle out,
         std::uintptr_t stream) {
        dispatch_device(out, "out", [&](auto zero) {
          using T = decltype(zero);
          DeviceArguments arguments(stream);
          const auto to = arguments.matrix<T>(out, "out");
          const auto weights = arguments.csr<T>(w[0], w[1], w[2], to.cols, "W");
          const auto x = arguments.csr<T>(indptr, indices, values, weights.rows, "X");
          if (x.rows != to.rows) throw py::value_error("out: expected " + std::to_string(x.rows) + " rows");
          const DeviceGuard guard(arguments.context().device);
          cuda::score_sparse<T>(x, weights, to, arguments.context());
        });
      },
      py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("W"), py::arg("out"), py::arg("stream"),
      "out <- X W, W being (indptr, indices, values)");
  m.def(
      "quadratic_diagonal",
      [](py::handle indptr, py::handle indices, py::handle values, py::handle matrix, py::handle out,
         std::uintptr_t stream) {
        dispatch_device(matrix, "M", [&](auto zero) {
          using T = decltype(zero);
          DeviceArguments arguments(stream);
          const auto of = arguments.matrix<const T>(matrix, "M");
          if (of.rows != of.cols) throw py::value_error("M: expected a square matrix");
          const auto x = arguments.csr<T>(indptr, indices, values, of.rows, "X");
          auto* const to = arguments.vector<double>(out, "out", x.rows);
          const DeviceGuard guard(arguments.context().device);
          cuda::quadratic_diagonal<T>(x, of, to, arguments.context());
        });
      },
      py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("M"), py::arg("out"), py::arg("stream"),
      "out <- the diagonal of X M X^T");
  m.def(
      "product",
      [](py::handle a, py::handle b, py::handle out, bool transpose_a, bool transpose_b, std::uintptr_t stream) {
        dispatch_device(out, "out", [&](auto zero) {
          using T = decltype(zero);
          DeviceArguments arguments(stream);
          const auto to = arguments.matrix<T>(out, "out");
          const auto operand = [&](py::handle array, const char* name, bool transposed, std::int64_t rows,
                                   std::int64_t cols) {
            return Operand<T>{transposed ? arguments.matrix<const T>(array, name, cols, rows)
                                         : arguments.matrix<const T>(array, name, rows, cols),
                              transposed};
          };
          const auto left = operand(a, "a", transpose_a, to.rows, -1);
          const std::int64_t depth = transpose_a ? left.matrix.rows : left.matrix.cols;
          const auto right = operand(b, "b", transpose_b, depth, to.cols);
          const DeviceGuard guard(arguments.context().device);
          cuda::product<T>(left, right, to, arguments.context());
        });
      },
      py::arg("a"), py::arg("b"), py::arg("out"), py::arg("transpose_a"), py::arg("transpose_b"), py::arg("stream"),
      "out <- op(a) op(b)");
}

void register_topk(py::module_& m) {
  m.def("topk_workspace", &cuda::topk_workspace, py::arg("rows"), py::arg("n"), py::arg("k"), py::arg("itemsize"),
        "bytes");
  m.def(
      "topk",
      [](py::handle s, py::handle scale, const py::object& seen, py::handle columns, py::handle items,
         py::handle scores, py::handle workspace, std::uintptr_t stream) {
        dispatch_device(s, "scores", [&](auto zero) {
          using T = decltype(zero);
          DeviceArguments arguments(stream);
          const auto from = arguments.matrix<const T>(s, "scores");
          const auto* const factor = arguments.optional_vector<const T>(scale, "scale", from.cols);
          const cuda::Hidden hidden = hidden_view(arguments, seen, columns, from.rows, from.cols);
          const Lists to = lists(arguments, items, scores, from.rows);
          arguments.workspace(workspace);
          const DeviceGuard guard(arguments.context().device);
          cuda::topk<T>(from, factor, hidden, to.items, to.scores, arguments.context());
        });
      },
      py::arg("scores"), py::arg("scale"), py::arg("seen"), py::arg("columns"), py::arg("items"), py::arg("out"),
      py::arg("workspace"), py::arg("stream"), "the k best of every row");
  m.def(
      "recommend",
      [](py::handle indptr, py::handle indices, py::handle values, py::handle w, const py::object& seen,
         py::handle columns, py::handle items, py::handle scores, py::handle workspace, std::uintptr_t stream) {
        dispatch_device(w, "W", [&](auto zero) {
          using T = decltype(zero);
          DeviceArguments arguments(stream);
          const auto weights = arguments.matrix<const T>(w, "W");
          const auto x = arguments.csr<T>(indptr, indices, values, weights.rows, "X");
          const cuda::Hidden hidden = hidden_view(arguments, seen, columns, x.rows, weights.cols);
          const Lists to = lists(arguments, items, scores, x.rows);
          arguments.workspace(workspace);
          const DeviceGuard guard(arguments.context().device);
          cuda::recommend<T>(x, weights, hidden, to.items, to.scores, arguments.context());
        });
      },
      py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("W"), py::arg("seen"), py::arg("columns"),
      py::arg("items"), py::arg("out"), py::arg("workspace"), py::arg("stream"), "the k best of every row of X W");
}

}  // namespace

}  // namespace fastlae::bindings

PYBIND11_MODULE(_cuda, m) {
  namespace py = pybind11;
  using namespace fastlae::bindings;
  m.doc() = "Kernels of fastlae for CUDA devices. Use fastlae.ops, which checks and allocates.";
  py::register_local_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const fastlae::cuda::CudaError& e) {
      const py::object type = py::module_::import("fastlae.errors").attr("CudaError");
      py::set_error(type, type.attr("from_runtime")(e.code, e.what()));
    }
  });
  register_devices(m);
  register_gram(m);
  register_spd_inverse(m);
  register_weights(m);
  register_gram_product(m);
  register_knn_graph(m);
  register_score(m);
  register_score_of_sparse(m);
  register_topk(m);
  register_device_networks(m);
  register_device_solvers(m);
}
