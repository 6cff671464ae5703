// From a regularised inverse to item-item weights.
#pragma once

#include "fastlae/context.hpp"
#include "fastlae/views.hpp"

namespace fastlae {

/// W <- diag(row_scale) (diag(alpha) + C diag(beta)), the form of every full-rank linear autoencoder. W may be C.
template <class T>
void diagonal_weights(MatrixView<const T> c,    // (n, n) C = (G + Lambda)^-1
                      const double* alpha,      // (n)
                      const double* beta,       // (n)
                      const double* row_scale,  // (n), or null: all 1
                      MatrixView<T> w,          // (n, n) out
                      const Context& context);

/// Column i of X solves (H0 + e1_i e_i^T + e_i e2_i^T) x = v_i, where column i of V, E1 and E2 belongs to item i and
/// E2's diagonal is left out: the general rank-two update of the DEQL paper, Theorem 4.1, (20)-(23).
///
/// Two products of order n, then two passes over blocks of columns; no other n x n array than `work`.
template <class T>
void miller_update(MatrixView<const T> h0_inverse,  // (n, n), symmetric
                   MatrixView<const T> v,           // (n, n)
                   MatrixView<const T> e1,          // (n, n)
                   MatrixView<const T> e2,          // (n, n)
                   MatrixView<T> x,                 // (n, n) out, none of the above
                   MatrixView<T> work,              // (n, n)
                   const Context& context);

}  // namespace fastlae
