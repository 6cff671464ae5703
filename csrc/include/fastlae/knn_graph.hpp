// The most similar objects of every object, and the graph that they make.
#pragma once

#include <cstdint>
#include <vector>

#include "fastlae/context.hpp"
#include "fastlae/views.hpp"

namespace fastlae {

/// How similar query i and object j are, by their inner product and a term of each (a norm, a size):
///   product:  dot / (row_i column_j + shrink)                       cosine
///   sum:      dot / (row_i + column_j - overlap dot + shrink)       Jaccard: sizes, overlap 1; conditional: one size
/// Computed in double precision from terms that are not negative, and rounded to float once.
struct Similarity {
  bool product = false;
  double overlap = 0;  // 0 or 1
  double shrink = 0;
  const double* row = nullptr;     // (queries)
  const double* column = nullptr;  // (objects)

  float operator()(double dot, std::int64_t i, std::int64_t j) const {
    const double scale = product ? row[i] * column[j] : row[i] + column[j] - overlap * dot;
    return static_cast<float>(dot / (scale + shrink));
  }
};

/// How many features are kept as bits: as many as pay, or at most so many (for tests). It decides about the speed only.
constexpr std::int64_t kDenseByCost = -1;

/// The k objects of largest similarity above zero of every query. Ties, of similarities in float, go to the smaller
/// object. Empty slots hold -1 and -inf. queries x objects is never stored; the result does not depend on the number of
/// threads. Memory beside the result: some 8 bytes an object and thread, and at most 128 MB of bits.
template <class T>
void nearest_neighbours(const CsrView<T>& queries,  // (queries, features)
                        const CsrView<T>& x,        // (features, objects)
                        const Similarity& similarity,
                        bool same,                            // queries are the objects: none is its own neighbour
                        bool ordered,                         // most similar first, else by object
                        MatrixView<std::int32_t> neighbours,  // (queries, k) out
                        MatrixView<float> similarities,       // (queries, k) out
                        const Context& context, std::int64_t most_dense = kDenseByCost);

/// The graph of neighbour lists: i and j are joined where either lists the other, by the larger of the two numbers.
class UnionGraph {
 public:
  /// The lists, ordered by object, must outlive this.
  UnionGraph(MatrixView<const std::int32_t> neighbours,  // (n, k), empty slots (-1) last
             MatrixView<const float> similarities,       // (n, k)
             const Context& context);

  const std::vector<std::int64_t>& indptr() const { return indptr_; }
  void write(std::int32_t* indices,  // (nnz) out, ascending within a row
             float* values,          // (nnz) out
             const Context& context) const;

 private:
  template <class Edge>
  void merge(std::int64_t i, Edge&& edge) const;

  MatrixView<const std::int32_t> neighbours_;
  MatrixView<const float> similarities_;
  std::vector<std::int64_t> lengths_;   // (n) of the lists
  std::vector<std::int64_t> pointers_;  // (n + 1) of the lists' transpose
  std::vector<std::int32_t> sources_;
  std::vector<float> values_;
  std::vector<std::int64_t> indptr_;
};

}  // namespace fastlae
