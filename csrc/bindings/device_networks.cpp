// CUDA kernels of the networks' functions: the loss, the activation and the prior.
#include "device_arrays.hpp"
#include "fastlae/cuda/composite_prior.hpp"
#include "fastlae/cuda/multinomial.hpp"
#include "fastlae/cuda/swish_norm.hpp"

namespace fastlae::bindings {

namespace {

using cuda::DeviceGuard;

/// A matrix, or one without rows for None.
template <class T>
MatrixView<T> optional_matrix(DeviceArguments& arguments, py::handle object, const char* name, std::int64_t rows,
                              std::int64_t cols) {
  return object.is_none() ? MatrixView<T>{} : arguments.matrix<T>(object, name, rows, cols);
}

void register_multinomial(py::module_& m) {
  m.def(
      "multinomial_nll",
      [](py::handle logits, py::handle indptr, py::handle indices, py::handle values, py::handle out_loss,
         py::handle out_lse, std::uintptr_t stream) {
        dispatch_device(logits, "logits", [&](auto zero) {
          using T = decltype(zero);
          DeviceArguments arguments(stream);
          const auto z = arguments.matrix<const T>(logits, "logits");
          const auto x = arguments.csr<T>(indptr, indices, values, z.cols, "x");
          if (x.rows != z.rows) throw py::value_error("x: expected " + std::to_string(z.rows) + " rows");
          auto* const loss = arguments.vector<T>(out_loss, "loss", z.rows);
          auto* const lse = arguments.vector<T>(out_lse, "lse", z.rows);
          const DeviceGuard guard(arguments.context().device);
          cuda::multinomial_nll<T>(z, x, loss, lse, arguments.context());
        });
      },
      py::arg("logits"), py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("loss"), py::arg("lse"),
      py::arg("stream"), "loss and logsumexp of every row");
  m.def(
      "multinomial_nll_backward",
      [](py::handle of_loss, py::handle lse, py::handle logits, py::handle indptr, py::handle indices,
         py::handle values, py::handle out, std::uintptr_t stream) {
        dispatch_device(logits, "logits", [&](auto zero) {
          using T = decltype(zero);
          DeviceArguments arguments(stream);
          const auto z = arguments.matrix<const T>(logits, "logits");
          const auto x = arguments.csr<T>(indptr, indices, values, z.cols, "x");
          if (x.rows != z.rows) throw py::value_error("x: expected " + std::to_string(z.rows) + " rows");
          const auto* const grad = arguments.vector<const T>(of_loss, "grad", z.rows);
          const auto* const log_sums = arguments.vector<const T>(lse, "lse", z.rows);
          const auto to = arguments.matrix<T>(out, "out", z.rows, z.cols);
          const DeviceGuard guard(arguments.context().device);
          cuda::multinomial_nll_backward<T>(grad, log_sums, z, x, to, arguments.context());
        });
      },
      py::arg("grad"), py::arg("lse"), py::arg("logits"), py::arg("indptr"), py::arg("indices"), py::arg("values"),
      py::arg("out"), py::arg("stream"), "out <- diag(grad) (diag(total) softmax(logits) - X)");
}

void register_swish_norm(py::module_& m) {
  m.def(
      "swish_norm",
      [](py::handle x, py::handle layer_bias, py::handle residual, py::handle weight, py::handle bias, double eps,
         py::handle y, py::handle total, py::handle mean, py::handle scale, std::uintptr_t stream) {
        dispatch_device(x, "x", [&](auto zero) {
          using T = decltype(zero);
          DeviceArguments arguments(stream);
          const auto from = arguments.matrix<const T>(x, "x");
          const std::int64_t rows = from.rows, n = from.cols;
          const auto* const added = arguments.optional_vector<const T>(layer_bias, "layer_bias", n);
          const auto past = optional_matrix<const T>(arguments, residual, "residual", rows, n);
          const auto* const factor = arguments.vector<const T>(weight, "weight", n);
          const auto* const shift = arguments.vector<const T>(bias, "bias", n);
          const auto to = arguments.matrix<T>(y, "y", rows, n);
          const auto sum = optional_matrix<T>(arguments, total, "total", rows, n);
          auto* const means = arguments.vector<T>(mean, "mean", rows);
          auto* const scales = arguments.vector<T>(scale, "scale", rows);
          const DeviceGuard guard(arguments.context().device);
          cuda::swish_norm<T>(from, added, past, factor, shift, eps, to, sum, means, scales, arguments.context());
        });
      },
      py::arg("x"), py::arg("layer_bias"), py::arg("residual"), py::arg("weight"), py::arg("bias"), py::arg("eps"),
      py::arg("y"), py::arg("total"), py::arg("mean"), py::arg("scale"), py::arg("stream"),
      "y <- layer norm of swish(x + layer_bias + residual); total <- residual + y");
  m.def(
      "swish_norm_backward",
      [](py::handle dy, py::handle dtotal, py::handle x, py::handle layer_bias, py::handle residual, py::handle weight,
         py::handle mean, py::handle scale, py::handle dx, py::handle dresidual, py::handle dweight, py::handle dbias,
         py::handle dlayer_bias, std::uintptr_t stream) {
        dispatch_device(x, "x", [&](auto zero) {
          using T = decltype(zero);
          DeviceArguments arguments(stream);
          const auto from = arguments.matrix<const T>(x, "x");
          const std::int64_t rows = from.rows, n = from.cols;
          const auto given = arguments.matrix<const T>(dy, "dy", rows, n);
          const auto given_total = optional_matrix<const T>(arguments, dtotal, "dtotal", rows, n);
          const auto* const added = arguments.optional_vector<const T>(layer_bias, "layer_bias", n);
          const auto past = optional_matrix<const T>(arguments, residual, "residual", rows, n);
          const auto* const factor = arguments.vector<const T>(weight, "weight", n);
          const auto* const means = arguments.vector<const T>(mean, "mean", rows);
          const auto* const scales = arguments.vector<const T>(scale, "scale", rows);
          const auto to = arguments.matrix<T>(dx, "dx", rows, n);
          const auto to_residual = optional_matrix<T>(arguments, dresidual, "dresidual", rows, n);
          auto* const to_weight = arguments.vector<T>(dweight, "dweight", n);
          auto* const to_bias = arguments.vector<T>(dbias, "dbias", n);
          auto* const to_layer = arguments.optional_vector<T>(dlayer_bias, "dlayer_bias", n);
          const DeviceGuard guard(arguments.context().device);
          cuda::swish_norm_backward<T>(given, given_total, from, added, past, factor, means, scales, to, to_residual,
                                       to_weight, to_bias, to_layer, arguments.context());
        });
      },
      py::arg("dy"), py::arg("dtotal"), py::arg("x"), py::arg("layer_bias"), py::arg("residual"), py::arg("weight"),
      py::arg("mean"), py::arg("scale"), py::arg("dx"), py::arg("dresidual"), py::arg("dweight"), py::arg("dbias"),
      py::arg("dlayer_bias"), py::arg("stream"), "gradients of swish_norm");
}

PriorParts prior_parts(const py::sequence& log_weights, double wide_logvar, bool per_coordinate) {
  if (py::len(log_weights) != 3) throw py::value_error("log_weights: expected three numbers");
  PriorParts parts{{}, wide_logvar, per_coordinate};
  for (int c = 0; c < 3; ++c) parts.log_weights[c] = log_weights[static_cast<std::size_t>(c)].cast<double>();
  return parts;
}

void register_composite_prior(py::module_& m) {
  m.def(
      "composite_prior",
      [](py::handle z, py::handle mu, py::handle logvar, const py::sequence& log_weights, double wide_logvar,
         bool per_coordinate, py::handle out, std::uintptr_t stream) {
        const PriorParts parts = prior_parts(log_weights, wide_logvar, per_coordinate);
        dispatch_device(z, "z", [&](auto zero) {
          using T = decltype(zero);
          DeviceArguments arguments(stream);
          const auto at = arguments.matrix<const T>(z, "z");
          const auto center = arguments.matrix<const T>(mu, "mu", at.rows, at.cols);
          const auto spread = arguments.matrix<const T>(logvar, "logvar", at.rows, at.cols);
          auto* const density = arguments.vector<T>(out, "out", at.rows);
          const DeviceGuard guard(arguments.context().device);
          cuda::composite_prior<T>(at, center, spread, parts, density, arguments.context());
        });
      },
      py::arg("z"), py::arg("mu"), py::arg("logvar"), py::arg("log_weights"), py::arg("wide_logvar"),
      py::arg("per_coordinate"), py::arg("out"), py::arg("stream"), "out <- log-density of every row of z");
  m.def(
      "composite_prior_backward",
      [](py::handle grad, py::handle z, py::handle mu, py::handle logvar, const py::sequence& log_weights,
         double wide_logvar, bool per_coordinate, py::handle dz, py::handle dmu, py::handle dlogvar,
         std::uintptr_t stream) {
        const PriorParts parts = prior_parts(log_weights, wide_logvar, per_coordinate);
        dispatch_device(z, "z", [&](auto zero) {
          using T = decltype(zero);
          DeviceArguments arguments(stream);
          const auto at = arguments.matrix<const T>(z, "z");
          const std::int64_t rows = at.rows, n = at.cols;
          const auto center = arguments.matrix<const T>(mu, "mu", rows, n);
          const auto spread = arguments.matrix<const T>(logvar, "logvar", rows, n);
          const auto* const given = arguments.vector<const T>(grad, "grad", rows);
          const auto to = arguments.matrix<T>(dz, "dz", rows, n);
          const auto to_mu = optional_matrix<T>(arguments, dmu, "dmu", rows, n);
          const auto to_logvar = optional_matrix<T>(arguments, dlogvar, "dlogvar", rows, n);
          const DeviceGuard guard(arguments.context().device);
          cuda::composite_prior_backward<T>(given, at, center, spread, parts, to, to_mu, to_logvar,
                                            arguments.context());
        });
      },
      py::arg("grad"), py::arg("z"), py::arg("mu"), py::arg("logvar"), py::arg("log_weights"), py::arg("wide_logvar"),
      py::arg("per_coordinate"), py::arg("dz"), py::arg("dmu"), py::arg("dlogvar"), py::arg("stream"),
      "gradients of composite_prior");
}

}  // namespace

void register_device_networks(py::module_& m) {
  register_multinomial(m);
  register_swish_norm(m);
  register_composite_prior(m);
}

}  // namespace fastlae::bindings
