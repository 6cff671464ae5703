// A row at a time: inner products of query i with all objects are summed in one array, sifted, and forgotten.
//  - Of 0/1 data they are counts. A feature that many objects have is a row of bits over the objects, and a tree of
//  full
//    adders counts 512 objects over the features of a query at once (simd/gram_rows); the objects of the others are
//    counted one by one.
//  - An inner product can reach the bar, the k-th best similarity so far, only where it exceeds a linear function of
//  the
//    object's term. That is tested in float with a margin, many at a time (simd/knn_rows); what passes is computed.
#include "fastlae/knn_graph.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <numeric>
#include <type_traits>
#include <vector>

#include "large_buffer.hpp"
#include "parallel.hpp"
#include "selector.hpp"
#include "simd/gram_rows.hpp"
#include "simd/knn_rows.hpp"

namespace fastlae {

namespace {

constexpr int64_t kWordsOfLine = simd::kLineItems / 64;
constexpr int64_t kMostBits = int64_t{128} << 20;  // bytes
constexpr int64_t kWorthBits = 8;                  // queries of a feature: making its bits is some of them

// Nanoseconds, measured on Zen 3 with AVX2.
constexpr double kAddCost = 0.8;   // counting one object
constexpr double kLineCost = 2.0;  // counting 512 objects by their bits

/// Rows of bits of the features that pay.
struct DenseFeatures {
  std::vector<std::int32_t> slot;    // (features) row of bits, or -1
  LargeBuffer<std::uint64_t> words;  // (slots, stride)
  int64_t stride = 0;                // words; an odd number of lines, as powers of two would crowd a few sets of caches
};

template <class T>
DenseFeatures dense_features(const CsrView<T>& queries, const CsrView<T>& x, int64_t most, const Context& context) {
  DenseFeatures dense;
  const int64_t lines = (x.cols + simd::kLineItems - 1) / simd::kLineItems;
  dense.slot.assign(static_cast<std::size_t>(x.rows), -1);
  dense.stride = (lines | 1) * kWordsOfLine;
  std::vector<int64_t> asked(static_cast<std::size_t>(x.rows), 0);
  for (int64_t e = 0; e < queries.nnz(); ++e) ++asked[static_cast<std::size_t>(queries.indices[e])];
  const auto size = [&](int64_t f) { return x.indptr[f + 1] - x.indptr[f]; };
  std::vector<std::int32_t> chosen;
  const bool by_cost = most == kDenseByCost;
  for (int64_t f = 0; f < x.rows; ++f)
    if (by_cost ? static_cast<double>(size(f)) * kAddCost > static_cast<double>(lines) * kLineCost &&
                      asked[static_cast<std::size_t>(f)] >= kWorthBits
                : size(f) > 0)
      chosen.push_back(static_cast<std::int32_t>(f));
  if (by_cost) most = kMostBits / (dense.stride * 8);
  if (static_cast<int64_t>(chosen.size()) > most) {
    const auto saved = [&](std::int32_t f) {
      return static_cast<double>(size(f)) * static_cast<double>(asked[static_cast<std::size_t>(f)]);
    };
    std::nth_element(chosen.begin(), chosen.begin() + most, chosen.end(), [&](std::int32_t a, std::int32_t b) {
      const double of_a = saved(a), of_b = saved(b);
      return of_a != of_b ? of_a > of_b : a < b;
    });
    chosen.resize(static_cast<std::size_t>(most));
  }
  const auto count = static_cast<int64_t>(chosen.size());
  dense.words = LargeBuffer<std::uint64_t>(static_cast<std::size_t>(count * dense.stride));
  parallel_for(context, count, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t s = begin; s < end; ++s) {
      const std::int32_t f = chosen[static_cast<std::size_t>(s)];
      dense.slot[static_cast<std::size_t>(f)] = static_cast<std::int32_t>(s);
      std::uint64_t* const row = dense.words.data() + s * dense.stride;
      std::fill_n(row, dense.stride, std::uint64_t{0});
      for (int64_t e = x.indptr[f]; e < x.indptr[f + 1]; ++e)
        row[x.indices[e] / 64] |= std::uint64_t{1} << (x.indices[e] % 64);
    }
  });
  return dense;
}

/// What a thread needs for one query after the other.
template <class T, class Dot>
class Search {
 public:
  static constexpr bool counts = std::is_integral_v<Dot>;
  using Term = simd::Term<Dot>;

  Search(const CsrView<T>& queries, const CsrView<T>& x, const DenseFeatures& dense, const Similarity& similarity,
         const Term* terms, int64_t k)
      : queries_(queries),
        x_(x),
        dense_(dense),
        similarity_(similarity),
        terms_(terms),
        k_(k),
        lines_((x.cols + simd::kLineItems - 1) / simd::kLineItems),
        dots_(static_cast<std::size_t>(lines_ * simd::kLineItems), Dot(0)),
        candidates_(static_cast<std::size_t>(Selector<float>::room(k, x.cols))) {}

  void operator()(int64_t i, bool same, bool ordered, std::int32_t* neighbours, float* similarities) {
    add(i);
    const int64_t found = select(i, same ? i : -1);
    std::fill(dots_.begin(), dots_.end(), Dot(0));
    Candidate<float>* const best = candidates_.data();
    if (ordered) return finish(best, found, k_, neighbours, similarities);
    const int64_t kept = std::min(found, k_);
    if (kept < found) std::nth_element(best, best + kept, best + found);
    std::sort(best, best + kept, [](const auto& a, const auto& b) { return a.item < b.item; });
    for (int64_t r = 0; r < kept; ++r) {
      neighbours[r] = best[r].item;
      similarities[r] = best[r].score;
    }
    std::fill(neighbours + kept, neighbours + k_, -1);
    std::fill(similarities + kept, similarities + k_, -std::numeric_limits<float>::infinity());
  }

 private:
  void add(int64_t i) {
    slots_.clear();
    for (int64_t e = queries_.indptr[i]; e < queries_.indptr[i + 1]; ++e) {
      const int64_t f = queries_.indices[e], begin = x_.indptr[f], end = x_.indptr[f + 1];
      if constexpr (counts) {
        const std::int32_t slot = dense_.slot[static_cast<std::size_t>(f)];
        if (slot >= 0)
          slots_.push_back(slot);
        else
          for (int64_t g = begin; g < end; ++g) ++dots_[static_cast<std::size_t>(x_.indices[g])];
      } else {
        const auto value = static_cast<double>(queries_.value(e));
        for (int64_t g = begin; g < end; ++g)
          dots_[static_cast<std::size_t>(x_.indices[g])] += value * static_cast<double>(x_.value(g));
      }
    }
    if constexpr (counts) {
      const auto some = static_cast<int64_t>(slots_.size());
      if (some == 0) return;
      slots_.insert(slots_.end(), simd::kUsersAhead, 0);  // what is fetched ahead
      for (int64_t l = 0; l < lines_; l += simd::kMaxLines)
        count_(dense_.words.data() + l * kWordsOfLine, dense_.stride, std::min(simd::kMaxLines, lines_ - l),
               slots_.data(), some, reinterpret_cast<std::uint32_t*>(dots_.data()) + l * simd::kLineItems);
    }
  }

  /// Leaves the best in candidates_, and some more; their number.
  int64_t select(int64_t i, int64_t self) {
    // dot * gain > offset + slope * column is necessary for a similarity above the bar; the margin covers float.
    constexpr double margin = 1 - 1e-6;
    Term gain = 1, offset = 0, slope = 0;
    float bar = 0;
    const auto raise = [&](float to) {
      const double lower = static_cast<double>(to) * margin, row = similarity_.row[i], shrink = similarity_.shrink;
      bar = to;
      gain = static_cast<Term>(similarity_.product ? 1 : 1 + static_cast<double>(to) * similarity_.overlap);
      offset = static_cast<Term>(lower * (similarity_.product ? shrink : row + shrink));
      slope = static_cast<Term>(similarity_.product ? lower * row : lower);
    };
    const int64_t n = x_.cols, capacity = Selector<float>::capacity(k_);
    int64_t size = 0;
    for (int64_t begin = 0; begin < n; begin += simd::kSiftBlock) {
      const int64_t found = sift_(dots_.data() + begin, terms_ + begin, std::min(simd::kSiftBlock, n - begin), gain,
                                  offset, slope, positions_);
      for (int64_t p = 0; p < found; ++p) {
        const int64_t j = begin + positions_[p];
        if (j == self) continue;
        const float s = similarity_(static_cast<double>(dots_[static_cast<std::size_t>(j)]), i, j);
        if (!(s > bar)) continue;
        candidates_[static_cast<std::size_t>(size++)] = {s, static_cast<std::int32_t>(j)};
        if (size < capacity) continue;
        std::nth_element(candidates_.begin(), candidates_.begin() + (k_ - 1), candidates_.end());
        size = k_;
        raise(candidates_[static_cast<std::size_t>(k_ - 1)].score);
      }
    }
    return size;
  }

  const CsrView<T>& queries_;
  const CsrView<T>& x_;
  const DenseFeatures& dense_;
  const Similarity& similarity_;
  const Term* terms_;
  const int64_t k_, lines_;
  const simd::CountBits count_ = simd::count_bits();
  const simd::Sift<Dot> sift_ = simd::sift<Dot>();
  std::vector<Dot> dots_;
  std::vector<Candidate<float>> candidates_;
  std::vector<std::int32_t> slots_;
  std::int32_t positions_[simd::kSiftBlock + simd::kSiftSlack];
};

template <class T, class Dot>
void search(const CsrView<T>& queries, const CsrView<T>& x, const Similarity& similarity, bool same, bool ordered,
            MatrixView<std::int32_t> neighbours, MatrixView<float> similarities, const Context& context, int64_t most) {
  DenseFeatures dense;
  if constexpr (std::is_integral_v<Dot>) dense = dense_features(queries, x, most, context);
  const std::vector<simd::Term<Dot>> terms(similarity.column, similarity.column + x.cols);
  std::vector<std::unique_ptr<Search<T, Dot>>> searches(static_cast<std::size_t>(std::max(1, context.num_threads)));
  parallel_for(context, queries.rows, 4, [&](int64_t begin, int64_t end, int thread) {
    auto& own = searches[static_cast<std::size_t>(thread)];
    if (!own) own = std::make_unique<Search<T, Dot>>(queries, x, dense, similarity, terms.data(), neighbours.cols);
    for (int64_t i = begin; i < end; ++i) (*own)(i, same, ordered, neighbours.row(i), similarities.row(i));
  });
}

}  // namespace

template <class T>
void nearest_neighbours(const CsrView<T>& queries, const CsrView<T>& x, const Similarity& similarity, bool same,
                        bool ordered, MatrixView<std::int32_t> neighbours, MatrixView<float> similarities,
                        const Context& context, int64_t most_dense) {
  if (queries.rows == 0 || neighbours.cols == 0) return;
  if (queries.values || x.values)
    search<T, double>(queries, x, similarity, same, ordered, neighbours, similarities, context, most_dense);
  else
    search<T, std::int32_t>(queries, x, similarity, same, ordered, neighbours, similarities, context, most_dense);
}

template void nearest_neighbours(const CsrView<float>&, const CsrView<float>&, const Similarity&, bool, bool,
                                 MatrixView<std::int32_t>, MatrixView<float>, const Context&, int64_t);
template void nearest_neighbours(const CsrView<double>&, const CsrView<double>&, const Similarity&, bool, bool,
                                 MatrixView<std::int32_t>, MatrixView<float>, const Context&, int64_t);

/// Calls edge(j, value) for the neighbours of i, ascending.
template <class Edge>
void UnionGraph::merge(int64_t i, Edge&& edge) const {
  const std::int32_t* const own = neighbours_.row(i);
  const float* const own_values = similarities_.row(i);
  int64_t a = 0, b = pointers_[static_cast<std::size_t>(i)];
  const int64_t own_end = lengths_[static_cast<std::size_t>(i)], end = pointers_[static_cast<std::size_t>(i + 1)];
  while (a < own_end || b < end) {
    const std::int32_t j = a < own_end ? own[a] : std::numeric_limits<std::int32_t>::max();
    const std::int32_t l = b < end ? sources_[static_cast<std::size_t>(b)] : std::numeric_limits<std::int32_t>::max();
    if (j < l)
      edge(j, own_values[a++]);
    else if (l < j)
      edge(l, values_[static_cast<std::size_t>(b++)]);
    else
      edge(j, std::max(own_values[a++], values_[static_cast<std::size_t>(b++)]));
  }
}

UnionGraph::UnionGraph(MatrixView<const std::int32_t> neighbours, MatrixView<const float> similarities,
                       const Context& context)
    : neighbours_(neighbours),
      similarities_(similarities),
      lengths_(static_cast<std::size_t>(neighbours.rows), 0),
      pointers_(static_cast<std::size_t>(neighbours.rows + 1), 0),
      indptr_(static_cast<std::size_t>(neighbours.rows + 1), 0) {
  const int64_t n = neighbours.rows, k = neighbours.cols;
  for (int64_t i = 0; i < n; ++i) {
    const std::int32_t* const row = neighbours.row(i);
    int64_t& length = lengths_[static_cast<std::size_t>(i)];
    for (; length < k && row[length] >= 0; ++length) ++pointers_[static_cast<std::size_t>(row[length] + 1)];
  }
  std::partial_sum(pointers_.begin(), pointers_.end(), pointers_.begin());
  sources_.resize(static_cast<std::size_t>(pointers_.back()));
  values_.resize(sources_.size());
  std::vector<int64_t> next(pointers_.begin(), pointers_.end() - 1);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t e = 0; e < lengths_[static_cast<std::size_t>(i)]; ++e) {
      const auto to = static_cast<std::size_t>(next[static_cast<std::size_t>(neighbours(i, e))]++);
      sources_[to] = static_cast<std::int32_t>(i);
      values_[to] = similarities(i, e);
    }
  parallel_for(context, n, 256, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t degree = 0;
      merge(i, [&](std::int32_t, float) { ++degree; });
      indptr_[static_cast<std::size_t>(i + 1)] = degree;
    }
  });
  std::partial_sum(indptr_.begin(), indptr_.end(), indptr_.begin());
}

void UnionGraph::write(std::int32_t* indices, float* values, const Context& context) const {
  parallel_for(context, neighbours_.rows, 256, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t at = indptr_[static_cast<std::size_t>(i)];
      merge(i, [&](std::int32_t j, float value) {
        indices[at] = j;
        values[at++] = value;
      });
    }
  });
}

}  // namespace fastlae
