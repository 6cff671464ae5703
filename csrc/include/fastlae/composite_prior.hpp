// RecVAE's prior: a mixture of a standard normal distribution, the posterior of an earlier epoch, and a wide normal.
#pragma once

#include "fastlae/context.hpp"
#include "fastlae/views.hpp"

namespace fastlae {

struct PriorParts {
  double log_weights[3];
  double wide_logvar;
  bool per_coordinate;  // mix the densities of every coordinate, or the joint ones
};

/// density[u] <- log p(z_u), p = w_0 N(0, 1) + w_1 N(mu_u, exp(logvar_u)) + w_2 N(0, exp(wide_logvar)).
template <class T>
void composite_prior(MatrixView<const T> z,       // (batch, dim)
                     MatrixView<const T> mu,      // (batch, dim)
                     MatrixView<const T> logvar,  // (batch, dim)
                     const PriorParts& parts,
                     T* density,  // (batch) out
                     const Context& context);

/// The gradients to z and, if asked for, to mu and logvar. The parts' shares are made a second time.
template <class T>
void composite_prior_backward(const T* grad,               // (batch)
                              MatrixView<const T> z,       // (batch, dim)
                              MatrixView<const T> mu,      // (batch, dim)
                              MatrixView<const T> logvar,  // (batch, dim)
                              const PriorParts& parts,
                              MatrixView<T> dz,       // (batch, dim) out
                              MatrixView<T> dmu,      // (batch, dim) out, or no rows: not asked for
                              MatrixView<T> dlogvar,  // (batch, dim) out, or no rows: not asked for
                              const Context& context);

}  // namespace fastlae
