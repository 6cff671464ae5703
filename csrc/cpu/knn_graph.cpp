// A thread takes some queries at a time. Their inner products with all objects are summed, sifted, and forgotten.
//  - Of 0/1 data they are counts. A feature that many objects have is a row of bits over the objects, and a tree of
//  full
//    adders counts 512 objects over the features of a query at once (simd/gram_rows). That goes by lines of 512 objects
//    for some queries, so that a line's bits of all features stay in the second-level cache. The objects of the other
//    features are counted one by one.
//  - An inner product can reach the bar, some similarity that k objects reach, only where it exceeds a linear function
//    of the object's term. That is tested in float with a margin, many at a time (simd/knn_rows); what passes is
//    computed. A sample of the objects says where the bar is.
#include "fastlae/knn_graph.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
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

using simd::kLineItems;

constexpr int64_t kWordsOfLine = kLineItems / 64;
constexpr int64_t kMostBits = int64_t{128} << 20;   // bytes
constexpr int64_t kWorthBits = 8;                   // queries of a feature: making its bits is some of them
constexpr int64_t kMostQueries = 64;                // that a thread takes at a time
constexpr int64_t kQueryBytes = int64_t{16} << 20;  // for the inner products of those
constexpr int64_t kSampleStep = 16;                 // every so manieth object says where the bar may be

// Nanoseconds, measured on Zen 3 with AVX2.
constexpr double kAddCost = 0.8;   // counting one object
constexpr double kLineCost = 2.0;  // counting 512 objects by their bits

int64_t lines_of(int64_t objects) {
  return (objects + kLineItems - 1) / kLineItems;
}

/// Rows of bits of the features that pay; row 0 has none.
struct DenseFeatures {
  std::vector<std::int32_t> row;     // (features) or 0: not dense
  LargeBuffer<std::uint64_t> words;  // (lines, rows, kWordsOfLine)
  int64_t rows = 0;

  const char* line(int64_t l) const { return reinterpret_cast<const char*>(words.data() + l * rows * kWordsOfLine); }
};

template <class T>
std::vector<std::int32_t> choose_dense(const CsrView<T>& queries, const CsrView<T>& x, int64_t most) {
  const int64_t lines = lines_of(x.cols);
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
  if (by_cost) most = kMostBits / (std::max<int64_t>(1, lines) * 64);
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
  return chosen;
}

template <class T>
DenseFeatures dense_features(const CsrView<T>& queries, const CsrView<T>& x, int64_t most, const Context& context) {
  const std::vector<std::int32_t> chosen = choose_dense(queries, x, most);
  const int64_t lines = lines_of(x.cols);
  DenseFeatures dense;
  dense.rows = static_cast<int64_t>(chosen.size()) + 1;
  dense.row.assign(static_cast<std::size_t>(x.rows), 0);
  if (chosen.empty()) return dense;
  dense.words = LargeBuffer<std::uint64_t>(static_cast<std::size_t>(lines * dense.rows * kWordsOfLine));
  std::uint16_t place[kLineItems];
  for (int64_t j = 0; j < kLineItems; ++j) place[j] = static_cast<std::uint16_t>(simd::line_bit(j));
  parallel_for(context, dense.rows, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      const auto word = [&](int64_t l) { return dense.words.data() + (l * dense.rows + r) * kWordsOfLine; };
      for (int64_t l = 0; l < lines; ++l) std::fill_n(word(l), kWordsOfLine, std::uint64_t{0});
      if (r == 0) continue;
      const std::int32_t f = chosen[static_cast<std::size_t>(r - 1)];
      dense.row[static_cast<std::size_t>(f)] = static_cast<std::int32_t>(r);
      for (int64_t e = x.indptr[f]; e < x.indptr[f + 1]; ++e) {
        const int64_t j = x.indices[e], bit = place[j % kLineItems];
        word(j / kLineItems)[bit / 64] |= std::uint64_t{1} << (bit % 64);
      }
    }
  });
  return dense;
}

/// The best k of what it is offered, in the order in which it is offered: of ties the earlier ones stay.
class Best {
 public:
  Best(int64_t k, int64_t most)
      : k_(k),
        capacity_(Selector<float>::room(k, most)),
        items_(static_cast<std::size_t>(capacity_)),
        scores_(static_cast<std::size_t>(capacity_)) {}

  void clear() { size_ = 0; }
  int64_t size() const { return size_; }
  std::int32_t item(int64_t r) const { return items_[static_cast<std::size_t>(r)]; }
  float score(int64_t r) const { return scores_[static_cast<std::size_t>(r)]; }

  /// True if there is no room for another one.
  bool offer(std::int32_t item, float score) {
    items_[static_cast<std::size_t>(size_)] = item;
    scores_[static_cast<std::size_t>(size_)] = score;
    return ++size_ == capacity_;
  }

  /// Cuts down to k; the k-th best score, or 0 where there are not so many.
  float cut() {
    if (size_ < k_) return 0;
    sorted_.assign(scores_.begin(), scores_.begin() + size_);
    std::nth_element(sorted_.begin(), sorted_.begin() + (k_ - 1), sorted_.end(), std::greater<float>());
    const float last = sorted_[static_cast<std::size_t>(k_ - 1)];
    int64_t ties = k_ - std::count_if(sorted_.begin(), sorted_.begin() + k_, [&](float s) { return s > last; });
    int64_t kept = 0;
    for (int64_t r = 0; r < size_ && kept < k_; ++r) {
      const float s = score(r);
      if (s < last || (s == last && ties-- <= 0)) continue;
      items_[static_cast<std::size_t>(kept)] = item(r);
      scores_[static_cast<std::size_t>(kept++)] = s;
    }
    size_ = kept;
    return last;
  }

 private:
  int64_t k_, capacity_, size_ = 0;
  std::vector<std::int32_t> items_;
  std::vector<float> scores_, sorted_;
};

/// What a thread needs for one part of the queries after the other.
template <class T, class Dot>
class Search {
 public:
  static constexpr bool counts = std::is_integral_v<Dot>;
  using Term = simd::Term<Dot>;

  Search(const CsrView<T>& queries, const CsrView<T>& x, const DenseFeatures& dense, const Similarity& similarity,
         const Term* terms, int64_t k, int64_t at_once)
      : queries_(queries),
        x_(x),
        dense_(dense),
        similarity_(similarity),
        terms_(terms),
        k_(k),
        stride_(lines_of(x.cols) * kLineItems),
        dots_(static_cast<std::size_t>(at_once * stride_)),
        best_(k, x.cols) {}

  void operator()(int64_t begin, int64_t end, bool same, bool ordered, MatrixView<std::int32_t> neighbours,
                  MatrixView<float> similarities) {
    count(begin, end);
    for (int64_t i = begin; i < end; ++i) {
      Dot* const dots = dots_.data() + (i - begin) * stride_;
      add(i, dots);
      select(i, same ? i : -1, dots);
      write(ordered, neighbours.row(i), similarities.row(i));
    }
  }

 private:
  /// What the dense features give to each of some queries.
  void count(int64_t begin, int64_t end) {
    if constexpr (counts) {
      if (dense_.rows > 1) {
        offsets_.clear();
        first_.assign(1, 0);
        lengths_.clear();
        for (int64_t i = begin; i < end; ++i) {
          for (int64_t e = queries_.indptr[i]; e < queries_.indptr[i + 1]; ++e)
            if (const std::int32_t row = dense_.row[static_cast<std::size_t>(queries_.indices[e])])
              offsets_.push_back(static_cast<std::uint32_t>(row) * 64);
          lengths_.push_back(static_cast<int64_t>(offsets_.size()) - first_.back());
          while (offsets_.size() % simd::kRowsAtOnce) offsets_.push_back(0);
          first_.push_back(static_cast<int64_t>(offsets_.size()));
        }
        for (int64_t l = 0; l < stride_ / kLineItems; ++l)
          for (int64_t q = 0; q < end - begin; ++q)
            count_(dense_.line(l), offsets_.data() + first_[static_cast<std::size_t>(q)],
                   lengths_[static_cast<std::size_t>(q)], dots_.data() + q * stride_ + l * kLineItems);
        return;
      }
    }
    std::fill_n(dots_.data(), (end - begin) * stride_, Dot(0));
  }

  /// What the other features add.
  void add(int64_t i, Dot* dots) const {
    for (int64_t e = queries_.indptr[i]; e < queries_.indptr[i + 1]; ++e) {
      const int64_t f = queries_.indices[e], begin = x_.indptr[f], end = x_.indptr[f + 1];
      if constexpr (counts) {
        if (dense_.row[static_cast<std::size_t>(f)] == 0)
          for (int64_t g = begin; g < end; ++g) ++dots[x_.indices[g]];
      } else {
        const auto value = static_cast<double>(queries_.value(e));
        for (int64_t g = begin; g < end; ++g) dots[x_.indices[g]] += value * static_cast<double>(x_.value(g));
      }
    }
  }

  float similarity(const Dot* dots, int64_t i, int64_t j) const {
    return similarity_(static_cast<double>(dots[j]), i, j);
  }

  /// A bar that likely k objects exceed, from every kSampleStep-th of them: 0 where that cannot be told.
  float foresee(int64_t i, const Dot* dots) {
    sample_.clear();
    for (int64_t j = 0; j < x_.cols; j += kSampleStep)
      if (dots[j] > 0) sample_.push_back(similarity(dots, i, j));
    const auto mean = static_cast<double>(k_) / static_cast<double>(kSampleStep);
    const auto rank = static_cast<int64_t>(mean + 3 * std::sqrt(mean)) + 2;  // three standard deviations to be safe
    if (rank >= static_cast<int64_t>(sample_.size())) return 0;
    std::nth_element(sample_.begin(), sample_.begin() + rank, sample_.end(), std::greater<float>());
    return std::max(0.0f, just_below(sample_[static_cast<std::size_t>(rank)]));
  }

  void select(int64_t i, int64_t self, const Dot* dots) {
    const float foreseen = foresee(i, dots);
    pass(i, self, dots, foreseen);
    if (best_.size() < k_ && foreseen > 0) pass(i, self, dots, 0);
    if (best_.size() > k_) best_.cut();
  }

  /// Offers what exceeds the bar, which rises.
  void pass(int64_t i, int64_t self, const Dot* dots, float bar) {
    // dot * gain > offset + slope * column is necessary for a similarity above the bar; the margin covers float.
    constexpr double margin = 1 - 1e-6;
    Term gain = 1, offset = 0, slope = 0;
    const auto raise = [&](float to) {
      const double lower = static_cast<double>(to) * margin, row = similarity_.row[i], shrink = similarity_.shrink;
      bar = to;
      gain = static_cast<Term>(similarity_.product ? 1 : 1 + static_cast<double>(to) * similarity_.overlap);
      offset = static_cast<Term>(lower * (similarity_.product ? shrink : row + shrink));
      slope = static_cast<Term>(similarity_.product ? lower * row : lower);
    };
    raise(bar);
    best_.clear();
    for (int64_t begin = 0; begin < x_.cols; begin += simd::kSiftBlock) {
      const int64_t found = sift_(dots + begin, terms_ + begin, std::min(simd::kSiftBlock, x_.cols - begin), gain,
                                  offset, slope, positions_);
      for (int64_t p = 0; p < found; ++p) {
        const int64_t j = begin + positions_[p];
        if (j == self) continue;
        const float s = similarity(dots, i, j);
        if (s > bar && best_.offer(static_cast<std::int32_t>(j), s)) raise(best_.cut());
      }
    }
  }

  void write(bool ordered, std::int32_t* neighbours, float* similarities) {
    const int64_t found = best_.size();
    if (ordered) {
      candidates_.clear();
      for (int64_t r = 0; r < found; ++r) candidates_.push_back({best_.score(r), best_.item(r)});
      return finish(candidates_.data(), found, k_, neighbours, similarities);
    }
    for (int64_t r = 0; r < found; ++r) {
      neighbours[r] = best_.item(r);
      similarities[r] = best_.score(r);
    }
    std::fill(neighbours + found, neighbours + k_, -1);
    std::fill(similarities + found, similarities + k_, -std::numeric_limits<float>::infinity());
  }

  const CsrView<T>& queries_;
  const CsrView<T>& x_;
  const DenseFeatures& dense_;
  const Similarity& similarity_;
  const Term* terms_;
  const int64_t k_, stride_;
  const simd::Sift<Dot> sift_ = simd::sift<Dot>();
  const std::conditional_t<counts, simd::CountLine<Dot>, std::nullptr_t> count_ = counter();
  LargeBuffer<Dot> dots_;  // (queries at once, stride)
  Best best_;
  std::vector<Candidate<float>> candidates_;
  std::vector<std::uint32_t> offsets_;    // rows of bits of the queries' features, query by query
  std::vector<int64_t> first_, lengths_;  // where those of a query begin, and how many they are
  std::vector<float> sample_;
  std::int32_t positions_[simd::kSiftBlock + simd::kSiftSlack];

  static auto counter() {
    if constexpr (counts)
      return simd::count_line<Dot>();
    else
      return nullptr;
  }
};

template <class T, class Dot>
void search(const CsrView<T>& queries, const CsrView<T>& x, const Similarity& similarity, bool same, bool ordered,
            MatrixView<std::int32_t> neighbours, MatrixView<float> similarities, const Context& context, int64_t most) {
  DenseFeatures dense;
  if constexpr (std::is_integral_v<Dot>) dense = dense_features(queries, x, most, context);
  const std::vector<simd::Term<Dot>> terms(similarity.column, similarity.column + x.cols);
  const int64_t threads = std::max(1, context.num_threads), bytes = std::max<int64_t>(1, x.cols) * sizeof(Dot);
  const int64_t at_once =
      std::clamp<int64_t>(std::min(kQueryBytes / bytes, queries.rows / (4 * threads)), 1, kMostQueries);
  std::vector<std::unique_ptr<Search<T, Dot>>> searches(static_cast<std::size_t>(threads));
  parallel_for(context, queries.rows, at_once, [&](int64_t begin, int64_t end, int thread) {
    auto& own = searches[static_cast<std::size_t>(thread)];
    if (!own)
      own = std::make_unique<Search<T, Dot>>(queries, x, dense, similarity, terms.data(), neighbours.cols, at_once);
    (*own)(begin, end, same, ordered, neighbours, similarities);
  });
}

}  // namespace

template <class T>
void nearest_neighbours(const CsrView<T>& queries, const CsrView<T>& x, const Similarity& similarity, bool same,
                        bool ordered, MatrixView<std::int32_t> neighbours, MatrixView<float> similarities,
                        const Context& context, int64_t most_dense) {
  if (queries.rows == 0 || neighbours.cols == 0) return;
  const auto call = [&](auto dot) {
    search<T, decltype(dot)>(queries, x, similarity, same, ordered, neighbours, similarities, context, most_dense);
  };
  if (queries.values || x.values) return call(double{});
  int64_t longest = 0;  // no count exceeds it
  for (int64_t i = 0; i < queries.rows; ++i) longest = std::max(longest, queries.indptr[i + 1] - queries.indptr[i]);
  if (longest <= std::numeric_limits<std::uint16_t>::max())
    call(std::uint16_t{});
  else
    call(std::uint32_t{});
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
  Context in_order = context;
  in_order.num_threads = 1;
  parallel_for(in_order, n, 256, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i)
      for (int64_t e = 0; e < lengths_[static_cast<std::size_t>(i)]; ++e) {
        const auto to = static_cast<std::size_t>(next[static_cast<std::size_t>(neighbours(i, e))]++);
        sources_[to] = static_cast<std::int32_t>(i);
        values_[to] = similarities(i, e);
      }
  });
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
