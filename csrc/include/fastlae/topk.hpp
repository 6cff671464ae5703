// The k best of every row, and how they are kept.
#pragma once

#include <cstdint>

#include "fastlae/context.hpp"
#include "fastlae/half.hpp"
#include "fastlae/views.hpp"

namespace fastlae {

/// What may not be recommended: per row, and for all rows. Both may be absent (null).
struct Hidden {
  const std::int64_t* indptr = nullptr;   // (rows + 1)
  const std::int32_t* indices = nullptr;  // sorted within a row
  const std::uint8_t* columns = nullptr;  // (n) non-zero: hidden from everybody
};

/// The k largest of every row of S, largest first; ties go to the smaller column. Scores of -inf and NaN never win;
/// a slot that nothing fills holds item -1 and score -inf.
template <class T>
void topk(MatrixView<const T> s,  // (rows, n)
          const T* scale,         // (n) multiplies the columns, or null: all 1
          const Hidden& hidden,
          MatrixView<std::int32_t> items,  // (rows, k) out
          MatrixView<float> scores,        // (rows, k) out
          const Context& context);

/// topk with every one of many scales, without the scores: a row is read once for all of them, and what did well with
/// one scale raises the bar for the next. A sweep's models differ by such scales.
template <class T>
void topk_scaled(MatrixView<const T> s,       // (rows, n)
                 MatrixView<const T> scales,  // (count, n) each multiplies the columns
                 const Hidden& hidden,
                 std::int32_t* items,  // (count, rows, k) out
                 std::int64_t k, const Context& context);

/// topk(X W) without ever holding X W. A row of X with no entries gets no items.
/// W is stored as float, double, Float16 or Bfloat16; x and sums are in its accumulator.
template <class Stored>
void recommend(const CsrView<Accumulator<Stored>>& x,  // (users, m)
               MatrixView<const Stored> w,             // (m, n)
               const Hidden& hidden,
               MatrixView<std::int32_t> items,  // (users, k) out
               MatrixView<float> scores,        // (users, k) out
               const Context& context);

/// The same for sparse W, by rows (input items). The structure of W is checked here, row by row as rows are read, so
/// that a few users do not pay for all of W; std::invalid_argument if it points outside. Order within a row does not
/// matter, and duplicates are summed. Row pointers may be int32: converting them would cost a user a tenth of a call.
template <class T, class Pointer>
void recommend(const CsrView<T>& x,           // (users, m)
               const CsrView<T, Pointer>& w,  // (m, n)
               std::int64_t entries,          // that w.indices and w.values have
               const Hidden& hidden,
               MatrixView<std::int32_t> items,  // (users, k) out
               MatrixView<float> scores,        // (users, k) out
               const Context& context);

}  // namespace fastlae
