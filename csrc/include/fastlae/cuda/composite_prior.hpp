// RecVAE's prior on a CUDA device: the twin of fastlae/composite_prior.hpp, where the equations are.
#pragma once

#include "fastlae/composite_prior.hpp"
#include "fastlae/cuda/device.hpp"
#include "fastlae/views.hpp"

namespace fastlae::cuda {

/// density[u] <- log p(z_u). Sums are made in double, in an order that follows from the shapes alone.
template <class T>
void composite_prior(MatrixView<const T> z,       // (batch, dim)
                     MatrixView<const T> mu,      // (batch, dim)
                     MatrixView<const T> logvar,  // (batch, dim)
                     const PriorParts& parts,
                     T* density,  // (batch) out
                     const DeviceContext& context);

template <class T>
void composite_prior_backward(const T* grad,               // (batch)
                              MatrixView<const T> z,       // (batch, dim)
                              MatrixView<const T> mu,      // (batch, dim)
                              MatrixView<const T> logvar,  // (batch, dim)
                              const PriorParts& parts,
                              MatrixView<T> dz,       // (batch, dim) out
                              MatrixView<T> dmu,      // (batch, dim) out, or no rows: not asked for
                              MatrixView<T> dlogvar,  // (batch, dim) out, or no rows: not asked for
                              const DeviceContext& context);

}  // namespace fastlae::cuda
