// A linear layer on sparse rows, and its gradient: few rows of the weight are read, and few of the gradient are not 0.
#pragma once

#include "fastlae/context.hpp"
#include "fastlae/views.hpp"

namespace fastlae {

/// Y <- X W + 1 b^T. Every sum has the order of its row's entries, so the result does not depend on the number of
/// threads.
template <class T>
void sparse_linear(const CsrView<T>& x,    // (batch, items)
                   MatrixView<const T> w,  // (items, hidden)
                   const T* bias,          // (hidden), or null: 0
                   MatrixView<T> y,        // (batch, hidden) out
                   const Context& context);

/// D <- X^T G, the gradient of the weight where G is that of Y. Row i is the sum over the rows of X that hold item i,
/// in their order. Memory: 12 to 20 bytes an entry and 8 an item, for the transpose of X.
template <class T>
void sparse_linear_backward(const CsrView<T>& x,    // (batch, items)
                            MatrixView<const T> g,  // (batch, hidden)
                            MatrixView<T> d,        // (items, hidden) out
                            const Context& context);

}  // namespace fastlae
