// Columns of a symmetric matrix of which only the lower triangle is stored.
#pragma once

#include <cstdint>

#include "fastlae/context.hpp"
#include "fastlae/views.hpp"

namespace fastlae {

/// out[i, k] <- A[i, columns[k]], from both sides of the diagonal.
template <class T>
void symmetric_columns(SymmetricView<const T> a,     // (n, n)
                       const std::int64_t* columns,  // (out.cols), any order
                       MatrixView<T> out,            // (n, number of columns) out
                       const Context& context);

}  // namespace fastlae
