// The Gram matrix of a sparse matrix.
#pragma once

#include <cstdint>

#include "fastlae/context.hpp"
#include "fastlae/views.hpp"

namespace fastlae {

/// How many of the most popular items are counted in bits rather than one by one: a multiple of 512, at most 4,096.
/// The default leaves it to the cost model. It decides about the speed only.
constexpr std::int64_t kHotByCost = -1;

/// G <- X^T diag(w) X, dense, both triangles.
///
/// 0/1 data without weights are counted in integers, so the result is exact; everything else is summed in double
/// precision, users in a fixed order. Either way the result does not depend on the number of threads, and is symmetric
/// bit for bit. Memory beside G: some 6 to 8 bytes a stored value (0/1 data without weights; else twice that and the
/// values), and for the bits of the popular items at most the sixteenth part of G, or 16 MB.
template <class T>
void gram(const CsrView<T>& x,    // (users, items)
          const double* weights,  // (users), or null: all 1
          MatrixView<T> g,        // (items, items) out
          const Context& context, std::int64_t hot_items = kHotByCost);

/// The same, of which only the tiles on and below the diagonal are written (those on it in full).
template <class T>
void gram(const CsrView<T>& x,    // (users, items)
          const double* weights,  // (users), or null: all 1
          SymmetricView<T> g,     // items out
          const Context& context, std::int64_t hot_items = kHotByCost);

}  // namespace fastlae
