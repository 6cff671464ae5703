// The negative multinomial log-likelihood of sparse rows X under scores Z, and its gradients.
//
//   loss_u = total_u lse_u - sum_i x_ui z_ui,  total_u = sum_i x_ui,  lse_u = log sum_i exp(z_ui)
//   dloss_u / dz_ui = total_u exp(z_ui - lse_u) - x_ui
//
// A row whose total is 0 takes no part in lse. Exponentials are within 2 units in the last place of T; a row's sum is
// made in T over at most some thousands of items, in double beyond. Sums have an order that follows from the shapes, so
// results do not depend on the number of threads.
#pragma once

#include "fastlae/context.hpp"
#include "fastlae/views.hpp"

namespace fastlae {

/// Loss and lse of scores that are there.
template <class T>
void multinomial_nll(MatrixView<const T> z,  // (batch, items)
                     const CsrView<T>& x,    // (batch, items)
                     T* loss,                // (batch) out
                     T* lse,                 // (batch) out
                     const Context& context);

/// dz <- diag(grad) (diag(total) softmax(z) - X).
template <class T>
void multinomial_nll_backward(const T* grad,          // (batch): the gradient of the loss
                              const T* lse,           // (batch)
                              MatrixView<const T> z,  // (batch, items)
                              const CsrView<T>& x,    // (batch, items)
                              MatrixView<T> dz,       // (batch, items) out; may be z
                              const Context& context);

/// For scores z W^T + b, made for some hundred items at a time: lse, and the mean of W's rows under the softmax.
template <class T>
void softmax_mean(MatrixView<const T> z,  // (batch, hidden)
                  MatrixView<const T> w,  // (items, hidden), at least one item
                  const T* bias,          // (items), or null: 0
                  T* lse,                 // (batch) out
                  MatrixView<T> mean,     // (batch, hidden) out, or no rows: not asked for
                  const Context& context);

/// For scores z W^T + b, made a second time: with D = diag(grad) (diag(total) softmax(z W^T + b) - X), the gradients
/// dw <- D^T z and db <- D^T 1.
template <class T>
void linear_multinomial_nll_backward(const T* grad,          // (batch)
                                     const T* lse,           // (batch)
                                     MatrixView<const T> z,  // (batch, hidden)
                                     MatrixView<const T> w,  // (items, hidden)
                                     const T* bias,          // (items), or null: 0
                                     const CsrView<T>& x,    // (batch, items)
                                     MatrixView<T> dw,       // (items, hidden) out, or no rows: not asked for
                                     T* db,                  // (items) out
                                     const Context& context);

}  // namespace fastlae
