// The k best of every row of a product of two thin matrices: scores of factor and embedding models.
#pragma once

#include <cstdint>

#include "fastlae/context.hpp"
#include "fastlae/topk.hpp"
#include "fastlae/views.hpp"

namespace fastlae {

/// topk(P E^T + 1 bias^T) without ever holding P E^T: some users by some items at a time. The order of every sum is the
/// same for any number of threads and of users.
template <class T>
void recommend_factors(MatrixView<const T> p,  // (users, dim)
                       MatrixView<const T> e,  // (n, dim)
                       const T* bias,          // (n), or null
                       const Hidden& hidden,
                       MatrixView<std::int32_t> items,  // (users, k) out
                       MatrixView<float> scores,        // (users, k) out
                       const Context& context);

/// S <- P E^T + 1 bias^T.
template <class T>
void score_factors(MatrixView<const T> p,  // (users, dim)
                   MatrixView<const T> e,  // (n, dim)
                   const T* bias,          // (n), or null
                   MatrixView<T> s,        // (users, n) out
                   const Context& context);

}  // namespace fastlae
