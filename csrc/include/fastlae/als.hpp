// Half a sweep of alternating least squares: all rows of one factor, the other being fixed.
#pragma once

#include <cstdint>

#include "fastlae/context.hpp"
#include "fastlae/views.hpp"

namespace fastlae {

/// What the entries of a sparse matrix add to the problem of their row: entry k, in column c, weighs w_k more than
/// a missing one, and adds w_k f_c f_c^T to the row's matrix and t_k f_c to its right side.
template <class T>
struct AlsTerm {
  CsrView<T> x;                // (rows, columns) its values are the w_k; null: all are `weight`
  T weight = T(1);             //
  const T* targets = nullptr;  // (nnz) t_k; null: t_k = w_k + offset
  T offset = T(1);             //
  MatrixView<const T> fixed;   // (columns, dim) the f_c
};

/// For every row r, P[r] <- the solution p of
///
///     (shared + ridge[r] I + sum_k w_k f_k f_k^T) p = sum_k t_k f_k + prior[r],      k over the row's entries.
///
/// With steps = 0 by Cholesky's factorisation; else by so many steps of conjugate gradients that begin at P[r]. With
/// shared = F^T F, w = alpha x and t = 1 + w this is weighted matrix factorisation (Hu, Koren and Volinsky 2008). Every
/// row is solved on its own, so the result does not depend on the number of threads.
template <class T>
void als_rows(const AlsTerm<T>* terms, int count,
              MatrixView<const T> shared,  // (dim, dim) symmetric
              const T* ridge,              // (rows)
              MatrixView<const T> prior,   // (rows, dim), or without data: all 0
              MatrixView<T> p,             // (rows, dim) in and out
              int steps, const Context& context);

}  // namespace fastlae
