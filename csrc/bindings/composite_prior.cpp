#include "fastlae/composite_prior.hpp"

#include <pybind11/stl.h>

#include <array>

#include "arrays.hpp"

namespace fastlae::bindings {

namespace {

using Weights = std::array<double, 3>;

PriorParts parts_of(const Weights& log_weights, double wide_logvar, bool per_coordinate) {
  return {{log_weights[0], log_weights[1], log_weights[2]}, wide_logvar, per_coordinate};
}

}  // namespace

void register_composite_prior(py::module_& m) {
  m.def(
      "composite_prior",
      [](const py::array& at, const py::array& mean, const py::array& spread, const Weights& log_weights,
         double wide_logvar, bool per_coordinate, const py::array& out, int num_threads) {
        const Context context = make_context(num_threads);
        const PriorParts parts = parts_of(log_weights, wide_logvar, per_coordinate);
        dispatch(at, "z", [&](auto zero) {
          using T = decltype(zero);
          const auto z = matrix<const T>(at, "z");
          const auto mu = matrix<const T>(mean, "mu", z.rows, z.cols);
          const auto logvar = matrix<const T>(spread, "logvar", z.rows, z.cols);
          T* const density = vector<T>(out, "out", z.rows);
          py::gil_scoped_release release;
          composite_prior<T>(z, mu, logvar, parts, density, context);
        });
      },
      py::arg("z"), py::arg("mu"), py::arg("logvar"), py::arg("log_weights"), py::arg("wide_logvar"),
      py::arg("per_coordinate"), py::arg("out"), py::arg("num_threads"), "log-density of every row");
  m.def(
      "composite_prior_backward",
      [](const py::array& of_density, const py::array& at, const py::array& mean, const py::array& spread,
         const Weights& log_weights, double wide_logvar, bool per_coordinate, const py::array& out_z,
         const py::object& out_mu, const py::object& out_logvar, int num_threads) {
        const Context context = make_context(num_threads);
        const PriorParts parts = parts_of(log_weights, wide_logvar, per_coordinate);
        dispatch(at, "z", [&](auto zero) {
          using T = decltype(zero);
          const auto z = matrix<const T>(at, "z");
          const auto mu = matrix<const T>(mean, "mu", z.rows, z.cols);
          const auto logvar = matrix<const T>(spread, "logvar", z.rows, z.cols);
          const T* const grad = vector<const T>(of_density, "grad", z.rows);
          const auto dz = matrix<T>(out_z, "out_z", z.rows, z.cols);
          const auto dmu = optional_matrix<T>(out_mu, "out_mu", z.rows, z.cols);
          const auto dlogvar = optional_matrix<T>(out_logvar, "out_logvar", z.rows, z.cols);
          py::gil_scoped_release release;
          composite_prior_backward<T>(grad, z, mu, logvar, parts, dz, dmu, dlogvar, context);
        });
      },
      py::arg("grad"), py::arg("z"), py::arg("mu"), py::arg("logvar"), py::arg("log_weights"), py::arg("wide_logvar"),
      py::arg("per_coordinate"), py::arg("out_z"), py::arg("out_mu"), py::arg("out_logvar"), py::arg("num_threads"),
      "gradients of the log-density");
}

}  // namespace fastlae::bindings
