// Dense matrix product on all threads.
#pragma once

#include "fastlae/context.hpp"
#include "fastlae/views.hpp"

namespace fastlae {

/// A factor as it is, or transposed.
template <class T>
struct Operand {
  MatrixView<const T> matrix;
  bool transposed = false;
};

/// C <- op(A) op(B). The result does not depend on the number of threads. Memory: a block of op(B), packed once for all
/// threads, and one of op(A) for each.
template <class T>
void product(Operand<T> a,     // op(A): (m, k)
             Operand<T> b,     // op(B): (k, n)
             MatrixView<T> c,  // (m, n) out
             const Context& context);

/// C <- A^T B for tall A and B. Rows are summed in parts whose number follows from the shapes, the parts in their
/// order, so the result does not depend on the number of threads.
template <class T>
void transposed_product(MatrixView<const T> a,  // (k, m)
                        MatrixView<const T> b,  // (k, n)
                        MatrixView<T> c,        // (m, n) out
                        const Context& context);

}  // namespace fastlae
