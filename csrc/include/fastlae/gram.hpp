// The Gram matrix of a sparse matrix.
#pragma once

#include "fastlae/context.hpp"
#include "fastlae/views.hpp"

namespace fastlae {

/// G <- X^T diag(w) X, dense, both triangles.
///
/// Column pairs are counted user by user in one accumulator row per thread. 0/1 data without weights are counted in
/// integers, so the result is exact; everything else is summed in double precision, users ascending. Either way the
/// result does not depend on the number of threads. Memory beside G: 12 bytes a stored value.
template <class T>
void gram(const CsrView<T>& x,    // (users, items)
          const double* weights,  // (users), or null: all 1
          MatrixView<T> g,        // (items, items) out
          const Context& context);

}  // namespace fastlae
