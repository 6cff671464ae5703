// Scores of sparse rows: a sparse matrix times a dense one.
#pragma once

#include "fastlae/context.hpp"
#include "fastlae/half.hpp"
#include "fastlae/views.hpp"

namespace fastlae {

/// S <- X W. Every score is summed in the order of its row's entries, so the result does not depend on the number of
/// threads. Columns go by tiles that stay in cache while all rows of a thread pass. W is stored as float, double,
/// Float16 or Bfloat16; the rest is in its accumulator.
template <class Stored>
void score(const CsrView<Accumulator<Stored>>& x,  // (rows, k)
           MatrixView<const Stored> w,             // (k, n)
           MatrixView<Accumulator<Stored>> s,      // (rows, n) out
           const Context& context);

/// q[i] <- sum_{u, v in row i} x_iu x_iv M[u, v], for symmetric M: the diagonal of X M X^T.
template <class T>
void quadratic_diagonal(const CsrView<T>& x,    // (rows, m)
                        MatrixView<const T> m,  // (m, m)
                        double* q,              // (rows) out
                        const Context& context);

}  // namespace fastlae
