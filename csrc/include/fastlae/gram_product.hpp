// The Gram matrix of a sparse matrix times a dense one, without either the Gram matrix or X E.
#pragma once

#include "fastlae/context.hpp"
#include "fastlae/views.hpp"

namespace fastlae {

/// Y <- (X^T X + diag(ridge)) E.
///
/// For every user t = sum_i x_ui E[i], and then Y[i] += x_ui t: 4 nnz dim operations. Sums are made in T, user by user,
/// in parts of the users whose number follows from the shapes alone, so the result does not depend on the number of
/// threads. Memory beside Y: a few columns of E and of Y per thread, and parts (at most 8) of Y where it is narrow.
template <class T>
void gram_product(const CsrView<T>& x,    // (users, items)
                  MatrixView<const T> e,  // (items, dim)
                  const T* ridge,         // (items), or null: all 0
                  MatrixView<T> y,        // (items, dim) out, apart from E
                  const Context& context);

}  // namespace fastlae
