// Columns of a table, one interaction a row, to the rows of a sparse matrix: ids to codes, pairs of codes to CSR.
#pragma once

#include <cstdint>
#include <vector>

#include "fastlae/context.hpp"

namespace fastlae {

/// A column in pieces, as readers of tables hand it over.
template <class T>
struct Piece {
  const T* values = nullptr;
  std::int64_t size = 0;
};

struct Range {
  std::int64_t low = 0, high = -1;
};

/// The smallest and the largest of the values; low > high where there are none.
template <class T>
Range value_range(const std::vector<Piece<T>>& pieces, const Context& context);

/// Which of the values low, low + 1 ... low + span - 1 occur, and for each value its place among those that do:
/// codes[e] = #{v < value[e] : v occurs}. All values lie in that range.
///
/// Returns how many occur. Memory: 5 span bytes.
template <class T>
std::int64_t encode_integers(const std::vector<Piece<T>>& pieces,  // n values altogether
                             std::int64_t low, std::int64_t span,  // of the table
                             std::int32_t* codes,                  // (n) out
                             std::vector<std::int64_t>& distinct,  // out, ascending
                             const Context& context);

/// Whether a field of the text begins or ends as no number does that is written from an integer: zeros, a sign or
/// blanks in front, -0, 0x, blanks behind. A reader of numbers takes many of these for the number that they resemble.
bool has_odd_numbers(const char* text, std::int64_t size, char separator);

/// A column that goes along, element by element, whatever it holds.
struct Carried {
  const void* from = nullptr;  // (n), in the order of the table
  void* to = nullptr;          // (n) out, in the order of the rows
  int bytes = 4;               // of an element: 4 or 8
};

/// Pairs (users[e], items[e]) sorted by user, then by item, pairs that are the same in the order given.
///
/// Returns how many pairs are the same as the one before them. Memory: 8 bytes a pair, for n < 2^31 where users come in
/// order already none; a row's keys per thread.
std::int64_t sort_into_rows(const std::int32_t* users,             // (n) in [0, n_users)
                            const std::int32_t* items,             // (n) from 0 on
                            std::int64_t n, std::int64_t n_users,  // pairs, rows
                            std::int64_t* indptr,                  // (n_users + 1) out
                            std::int32_t* indices,                 // (n) out: items, ascending within a row
                            const std::vector<Carried>& carried,   // go along
                            const Context& context);

}  // namespace fastlae
