// A sparse matrix cut in two, row by row, at random.
#pragma once

#include <cstdint>

#include "fastlae/context.hpp"
#include "fastlae/views.hpp"

namespace fastlae {

/// Stored values of one part of a cut; where they begin is known from the sizes of the rows.
template <class T>
struct RowPart {
  std::int32_t* indices = nullptr;
  T* values = nullptr;  // null where X has none
};

/// Of every row u of X, the n_u entries with the smallest keys go to `taken`, the others to `kept`; both keep their
/// order. Equal keys go by position. Given independent keys, every set of n_u entries is as likely as any other.
///
/// Memory: a copy of one row's keys, per thread.
template <class T>
void split_rows(const CsrView<T>& x,         // (users, items)
                const std::uint64_t* keys,   // (nnz)
                const std::int64_t* indptr,  // (users + 1) row pointers of `taken`: n_u = indptr[u + 1] - indptr[u]
                const RowPart<T>& kept,      // (nnz - indptr[users]) out
                const RowPart<T>& taken,     // (indptr[users]) out
                const Context& context);

}  // namespace fastlae
