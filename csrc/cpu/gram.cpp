// Row i of G is a sum over the users of item i. The most popular items, the "hot" ones, take part in most pairs:
//  - as columns they are counted apart. For 0/1 data every user has a bit for every hot item, and a tree of full adders
//    counts 512 items over users at once (simd/gram_rows); other data are added up in an array that stays in L1.
//  - as rows they are not computed, but copied from the columns.
//  - of pairs of hot items, which are most pairs of all, only about half are counted (HotPairs).
// All other pairs are added one by one, in a row in the order of G: it is written once, and never read again.
#include "fastlae/gram.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <type_traits>
#include <vector>

#include "large_buffer.hpp"
#include "parallel.hpp"
#include "simd/gram_rows.hpp"
#include "simd/isa.hpp"

namespace fastlae {

namespace {

using simd::kLineItems;
using simd::kMaxLines;
using simd::kUsersAhead;
using std::int64_t;

template <class T>
struct OutputRow {
  T* data;
  int64_t width;  // what lies right of it is not stored
};

constexpr int64_t kRowsAhead = 6;
constexpr int64_t kColumns = 32;  // rows of G that a thread makes together: columns of the hot rows

// Nanoseconds, measured on Zen 4 with the 10 M interactions of the MovieLens-20M shape.
constexpr double kLineCost = 8.0;    // a line of bits of one user
constexpr double kAddCost = 0.8;     // one addition
constexpr double kMirrorCost = 2.0;  // copying an element into a hot row

/// Which users and items come in which order: active users first, so that the data of those who make most pairs stay
/// in cache; contiguous parts of users with about equally many entries for the threads.
struct Order {
  std::vector<std::int32_t> user;          // (users) old name of a user
  std::vector<int64_t> begin;              // (users + 1) where the entries of a user begin, in the new order
  std::vector<int64_t> part;               // (parts + 1) users of a part
  std::vector<int64_t> first;              // (items + 1) where the entries of an item begin
  std::vector<std::vector<int64_t>> next;  // (parts, items) where the entries of an item in this part begin
  std::vector<std::int32_t> popular;       // the most popular items, at most kMaxLines * kLineItems
  std::vector<std::int32_t> rank;          // (items) position in `popular` if that is hot, else -1
  int64_t lines = 0;
  int64_t hot = 0;

  int64_t users() const { return static_cast<int64_t>(user.size()); }
  int64_t parts() const { return static_cast<int64_t>(part.size()) - 1; }
  int64_t popularity(int64_t item) const { return first[item + 1] - first[item]; }
};

// Inlined always: GCC takes a function that only prefetches for one without effects, and drops calls of it.
template <class T>
FASTLAE_INLINE void prefetch_row(const CsrView<T>& x, const Order& order, int64_t v) {
  if (v + kRowsAhead >= order.users()) return;
  const std::int32_t* const row = x.indices + x.indptr[order.user[v + kRowsAhead]];
  for (int line = 0; line < 4; ++line) __builtin_prefetch(row + 16 * line);
}

template <class T>
void order_users(const CsrView<T>& x, int64_t parts, Order& order) {
  const auto length = [&](int64_t u) { return x.indptr[u + 1] - x.indptr[u]; };
  int64_t longest = 0;
  for (int64_t u = 0; u < x.rows; ++u) longest = std::max(longest, length(u));
  std::vector<int64_t> next(static_cast<std::size_t>(longest + 2), 0);  // counting sort
  for (int64_t u = 0; u < x.rows; ++u) ++next[longest - length(u) + 1];
  std::partial_sum(next.begin(), next.end(), next.begin());
  order.user.resize(x.rows);
  for (int64_t u = 0; u < x.rows; ++u) order.user[next[longest - length(u)]++] = static_cast<std::int32_t>(u);
  order.begin.assign(x.rows + 1, 0);
  for (int64_t v = 0; v < x.rows; ++v) order.begin[v + 1] = order.begin[v] + length(order.user[v]);
  order.part.resize(parts + 1);
  for (int64_t p = 0; p <= parts; ++p)
    order.part[p] =
        std::lower_bound(order.begin.begin(), order.begin.end() - 1, x.nnz() / parts * p) - order.begin.begin();
  order.part[0] = 0;
  order.part[parts] = x.rows;
}

template <class T>
void order_items(const CsrView<T>& x, Order& order, const Context& context) {
  const int64_t n = x.cols;
  order.next.resize(order.parts());
  parallel_for(context, order.parts(), 1, [&](int64_t p, int64_t, int) {
    std::vector<int64_t>& count = order.next[p];
    count.assign(n, 0);
    for (int64_t v = order.part[p]; v < order.part[p + 1]; ++v) {
      prefetch_row(x, order, v);
      const int64_t u = order.user[v];
      for (int64_t e = x.indptr[u]; e < x.indptr[u + 1]; ++e) ++count[x.indices[e]];
    }
  });
  order.first.assign(n + 1, 0);
  for (int64_t i = 0; i < n; ++i) {
    int64_t at = order.first[i];
    for (std::vector<int64_t>& next : order.next) {
      const int64_t count = next[i];
      next[i] = at;
      at += count;
    }
    order.first[i + 1] = at;
  }
  std::vector<std::int32_t> items(static_cast<std::size_t>(n));
  std::iota(items.begin(), items.end(), 0);
  const int64_t most = std::min(n, kMaxLines * kLineItems);
  std::partial_sort(items.begin(), items.begin() + most, items.end(), [&](std::int32_t i, std::int32_t j) {
    const int64_t a = order.popularity(i), b = order.popularity(j);
    return a != b ? a > b : i < j;
  });
  order.popular.assign(items.begin(), items.begin() + most);
  order.rank.assign(n, -1);
  for (int64_t h = 0; h < most; ++h) order.rank[order.popular[h]] = static_cast<std::int32_t>(h);
}

/// Bits of a user: an odd number of lines, as powers of two would crowd a few sets of the caches.
int64_t stride_lines(int64_t lines) {
  return lines == 0 ? 0 : lines | 1;
}

/// Counts of pairs of hot items, by rank. A row has the lines up to its own; what lies right of them is in later rows.
class HotPairs {
 public:
  explicit HotPairs(int64_t lines) : counts_(static_cast<std::size_t>(bytes(lines)) / sizeof(std::uint32_t)) {}

  static int64_t bytes(int64_t lines) { return begin(lines) * static_cast<int64_t>(sizeof(std::uint32_t)); }
  static int64_t width(int64_t h) { return (h / kLineItems + 1) * kLineItems; }
  std::uint32_t* row(int64_t h) const { return counts_.data() + begin(h / kLineItems) + h % kLineItems * width(h); }

  /// All of row h.
  void copy(int64_t h, int64_t hot, std::uint32_t* to) const {
    std::copy_n(row(h), width(h), to);
    for (int64_t k = width(h); k < hot; ++k) to[k] = row(k)[h];
  }

 private:
  static int64_t begin(int64_t line) { return kLineItems * kLineItems * (line * (line + 1) / 2); }

  LargeBuffer<std::uint32_t> counts_;
};

/// The number of lines of hot items that costs least. Every so many users stand for all of them.
template <class T>
int64_t cheapest(const CsrView<T>& x, const Order& order, bool bits, int64_t output_bytes) {
  constexpr int64_t sample = 4096;
  const int64_t step = std::max<int64_t>(1, x.rows / sample), n = x.cols;
  double cost[kMaxLines + 1] = {};
  for (int64_t v = step / 2; v < x.rows; v += step) {
    const int64_t u = order.user[v];
    std::int32_t of_line[kMaxLines + 1] = {};
    for (int64_t e = x.indptr[u]; e < x.indptr[u + 1]; ++e) {
      const std::int32_t r = order.rank[x.indices[e]];
      ++of_line[r < 0 ? kMaxLines : r / kLineItems];
    }
    const auto all = static_cast<double>(x.indptr[u + 1] - x.indptr[u]);
    double hot = 0, lines = 0;  // lines that are read for hot entries
    for (int64_t l = 0; l <= kMaxLines; ++l) {
      const double cold = all - hot;
      const double counting = bits ? (lines + cold * static_cast<double>(l)) * kLineCost : all * hot * kAddCost;
      cost[l] += static_cast<double>(step) * (counting + cold * cold * kAddCost);
      hot += of_line[l];
      lines += static_cast<double>(of_line[l]) * static_cast<double>(l + 1);
    }
  }
  const int64_t allowed = std::max<int64_t>(int64_t{32} << 20, output_bytes / 16);
  int64_t best = 0;
  for (int64_t l = 1; l <= kMaxLines && (l - 1) * kLineItems < n; ++l) {
    cost[l] += static_cast<double>(std::min(n, l * kLineItems)) * static_cast<double>(n) * kMirrorCost;
    if (bits && x.rows * stride_lines(l) * 64 + HotPairs::bytes(l) > allowed) break;
    if (cost[l] < cost[best]) best = l;
  }
  return best;
}

/// X in the order of its users, and for every item its users.
template <class T, class Item>
struct Sorted {
  struct Row {
    int64_t hot, cold, end;  // of the bits' users only [cold, end) is kept
  };
  LargeBuffer<Row> row;             // (users)
  LargeBuffer<Item> item;           // (nnz) of a hot item its rank, of another its name
  LargeBuffer<T> value;             // (nnz), or empty: all 1
  LargeBuffer<std::uint64_t> bits;  // (users, stride), or empty
  int64_t stride = 0;               // words
  LargeBuffer<std::int32_t> user;   // (nnz + kUsersAhead) by items, ascending
  LargeBuffer<T> user_value;        // (nnz), or empty
  std::vector<double> weight;       // (users), or empty: all 1
};

template <class T, class Item>
Sorted<T, Item> sort(const CsrView<T>& x, const double* weights, bool as_bits, Order& order, const Context& context) {
  Sorted<T, Item> s;
  const auto nnz = static_cast<std::size_t>(x.nnz()), users = static_cast<std::size_t>(x.rows);
  s.row = LargeBuffer<typename Sorted<T, Item>::Row>(users);
  s.item = LargeBuffer<Item>(nnz);
  s.user = LargeBuffer<std::int32_t>(nnz + kUsersAhead);
  std::fill_n(s.user.data() + nnz, kUsersAhead, 0);
  if (x.values) {
    s.value = LargeBuffer<T>(nnz);
    s.user_value = LargeBuffer<T>(nnz);
  }
  if (weights) {
    s.weight.resize(users);
    for (std::size_t v = 0; v < users; ++v) s.weight[v] = weights[order.user[v]];
  }
  if (as_bits) {
    s.stride = stride_lines(order.lines) * kLineItems / 64;
    s.bits = LargeBuffer<std::uint64_t>(users * static_cast<std::size_t>(s.stride));
  }
  parallel_for(context, order.parts(), 1, [&](int64_t p, int64_t, int) {
    int64_t* const next = order.next[p].data();
    const std::int32_t* const rank = order.rank.data();
    for (int64_t v = order.part[p]; v < order.part[p + 1]; ++v) {
      prefetch_row(x, order, v);
      const int64_t u = order.user[v], begin = x.indptr[u], end = x.indptr[u + 1];
      int64_t hot = order.begin[v], cold = hot;
      if (as_bits) {
        std::uint64_t* const bits = s.bits.data() + v * s.stride;
        std::fill_n(bits, s.stride, std::uint64_t{0});
        for (int64_t e = begin; e < end; ++e) {
          const std::int32_t i = x.indices[e], r = rank[i];
          s.user[next[i]++] = static_cast<std::int32_t>(v);
          if (r >= 0) bits[r / 64] |= std::uint64_t{1} << (r % 64);
          s.item[cold] = static_cast<Item>(i);  // overwritten by the next one if it is hot
          cold += r < 0;
        }
        s.row[v] = {hot, hot, cold};
        continue;
      }
      for (int64_t e = begin; e < end; ++e) cold += rank[x.indices[e]] >= 0;
      s.row[v] = {hot, cold, order.begin[v + 1]};
      for (int64_t e = begin; e < end; ++e) {
        const std::int32_t i = x.indices[e], r = rank[i];
        const int64_t to = r >= 0 ? hot++ : cold++;
        s.item[to] = static_cast<Item>(r >= 0 ? r : i);
        if (x.values) {
          s.value[to] = x.values[e];
          s.user_value[next[i]] = x.values[e];
        }
        s.user[next[i]++] = static_cast<std::int32_t>(v);
      }
    }
  });
  return s;
}

/// sums[item] += the products of entry e of an item's users with the entries [begin, end) of that user.
template <class T, class Item, class Sum>
void add(const Sorted<T, Item>& s, int64_t e, int64_t begin, int64_t end, Sum* sums) {
  const Item* const item = s.item.data();
  if constexpr (std::is_integral_v<Sum>) {
    for (int64_t f = begin; f < end; ++f) ++sums[item[f]];
  } else {
    const double weight = s.weight.empty() ? 1.0 : s.weight[s.user[e]];
    if (s.value.size() == 0) {
      for (int64_t f = begin; f < end; ++f) sums[item[f]] += weight;
    } else {  // the product of the values first: the same bits on both sides of the diagonal
      const auto value = static_cast<double>(s.user_value[e]);
      for (int64_t f = begin; f < end; ++f) sums[item[f]] += value * static_cast<double>(s.value[f]) * weight;
    }
  }
}

template <class T, class Item>
FASTLAE_INLINE void prefetch_items(const Sorted<T, Item>& s, int64_t e, bool hot, bool cold) {
  __builtin_prefetch(&s.row[s.user[e + 3 * kRowsAhead]]);
  const auto& row = s.row[s.user[e + kRowsAhead]];
  const auto* item = reinterpret_cast<const char*>(s.item.data() + (hot ? row.hot : row.cold));
  const auto* const end = reinterpret_cast<const char*>(s.item.data() + (cold ? row.end : row.cold));
  for (; item < end; item += 64) __builtin_prefetch(item);
}

template <class T, class Item>
HotPairs count_hot_pairs(const Sorted<T, Item>& s, const Order& order, const Context& context) {
  HotPairs pairs(order.lines);
  const simd::CountBits count = simd::count_bits();
  parallel_for(context, order.hot, 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t h = begin; h < end; ++h) {
      const int64_t first = order.first[order.popular[h]], width = HotPairs::width(h);
      std::fill_n(pairs.row(h), width, 0u);
      count(s.bits.data(), s.stride, width / kLineItems, s.user.data() + first, order.popularity(order.popular[h]),
            pairs.row(h));
    }
  });
  return pairs;
}

/// Sums of the hot columns are kept apart, in Hot; those of the others in Sum.
template <class T, class Item, class Sum, class Hot>
void fill(const Sorted<T, Item>& s, const Order& order, const std::vector<OutputRow<T>>& out, const Context& context) {
  constexpr bool as_bits = std::is_integral_v<Sum>;
  const auto n = static_cast<int64_t>(out.size());
  const int64_t hot = order.hot, padded = order.lines * kLineItems;
  const int64_t gap = padded + 16;  // not a power of two
  const simd::CountBits count = simd::count_bits();
  const simd::MoveRow<T, Sum> move = simd::move_row<T, Sum>();
  const HotPairs pairs = as_bits ? count_hot_pairs(s, order, context) : HotPairs(0);
  struct Scratch {
    std::vector<Sum> sums;
    std::vector<Hot> hot;
    std::vector<T> turned;
  };
  std::vector<Scratch> scratch(static_cast<std::size_t>(std::max(1, context.num_threads)));
  parallel_for(context, n, kColumns, [&](int64_t begin, int64_t end, int thread) {
    Scratch& own = scratch[static_cast<std::size_t>(thread)];
    own.sums.resize(n);
    own.hot.assign(gap * kColumns, Hot(0));
    own.turned.resize(16 * kColumns);
    for (int64_t i = begin; i < end; ++i) {
      Hot* const hot_sums = own.hot.data() + (i - begin) * gap;
      const int64_t first = order.first[i], last = order.first[i + 1];
      const bool cold = order.rank[i] < 0;
      if constexpr (as_bits) {
        if (!cold)
          pairs.copy(order.rank[i], hot, hot_sums);
        else if (hot > 0)
          count(s.bits.data(), s.stride, order.lines, s.user.data() + first, last - first, hot_sums);
      }
      if (cold || !as_bits)
        for (int64_t e = first; e < last; ++e) {
          const auto& row = s.row[s.user[e]];
          prefetch_items(s, e, !as_bits, cold);
          if constexpr (!as_bits) add(s, e, row.hot, row.cold, hot_sums);
          if (cold) add(s, e, row.cold, row.end, own.sums.data());
        }
      if (!cold) continue;
      for (int64_t h = 0; h < hot; ++h) own.sums[order.popular[h]] = static_cast<Sum>(hot_sums[h]);
      move(own.sums.data(), out[i].width, out[i].data);
      std::fill(own.sums.begin() + out[i].width, own.sums.end(), Sum(0));
    }
    // G(h, i) = G(i, h)
    for (int64_t h0 = 0; h0 < hot; h0 += 16) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t h = 0; h < 16; ++h)
          own.turned[h * kColumns + i - begin] = static_cast<T>(own.hot[(i - begin) * gap + h0 + h]);
      for (int64_t h = h0; h < std::min(hot, h0 + 16); ++h) {
        const OutputRow<T>& row = out[order.popular[h]];
        if (row.width > begin)
          std::copy_n(&own.turned[(h - h0) * kColumns], std::min(end, row.width) - begin, row.data + begin);
      }
    }
  });
}

template <class T, class Item>
void gram_of(const CsrView<T>& x, const double* weights, Order& order, const std::vector<OutputRow<T>>& out,
             const Context& context) {
  const bool counts = x.values == nullptr && weights == nullptr;
  const Sorted<T, Item> s = sort<T, Item>(x, weights, counts && order.hot > 0, order, context);
  if (!counts) return fill<T, Item, double, double>(s, order, out, context);
  int64_t most = 0;  // no count of a row that is summed exceeds its item's popularity
  for (int64_t i = 0; i < x.cols; ++i)
    if (order.rank[i] < 0) most = std::max(most, order.popularity(i));
  if (most <= std::numeric_limits<std::uint16_t>::max())
    fill<T, Item, std::uint16_t, std::uint32_t>(s, order, out, context);
  else
    fill<T, Item, std::uint32_t, std::uint32_t>(s, order, out, context);
}

template <class T>
void gram_rows(const CsrView<T>& x, const double* weights, const std::vector<OutputRow<T>>& out, const Context& context,
               int64_t hot_items) {
  constexpr int64_t worth_a_part = 1 << 16;
  Order order;
  order_users(x, std::clamp<int64_t>(x.nnz() / worth_a_part, 1, std::max(1, context.num_threads)), order);
  order_items(x, order, context);
  int64_t bytes = 0;
  for (const OutputRow<T>& row : out) bytes += row.width * static_cast<int64_t>(sizeof(T));
  order.lines = hot_items == kHotByCost ? cheapest(x, order, x.values == nullptr && weights == nullptr, bytes)
                                        : std::min(kMaxLines, hot_items / kLineItems);
  order.hot = std::min(x.cols, order.lines * kLineItems);
  for (std::int32_t& r : order.rank)
    if (r >= order.hot) r = -1;
  if (x.cols <= 1 << 16)
    gram_of<T, std::uint16_t>(x, weights, order, out, context);
  else
    gram_of<T, std::uint32_t>(x, weights, order, out, context);
}

}  // namespace

template <class T>
void gram(const CsrView<T>& x, const double* weights, MatrixView<T> g, const Context& context, int64_t hot_items) {
  std::vector<OutputRow<T>> out;
  for (int64_t i = 0; i < g.rows; ++i) out.push_back({g.row(i), g.cols});
  gram_rows(x, weights, out, context, hot_items);
}

template <class T>
void gram(const CsrView<T>& x, const double* weights, SymmetricView<T> g, const Context& context, int64_t hot_items) {
  std::vector<OutputRow<T>> out;
  for (int64_t t = 0; t < g.tiles(); ++t) {
    const MatrixView<T> strip = g.strip(t);
    for (int64_t i = 0; i < strip.rows; ++i) out.push_back({strip.row(i), strip.cols});
  }
  gram_rows(x, weights, out, context, hot_items);
}

template void gram(const CsrView<float>&, const double*, MatrixView<float>, const Context&, int64_t);
template void gram(const CsrView<double>&, const double*, MatrixView<double>, const Context&, int64_t);
template void gram(const CsrView<float>&, const double*, SymmetricView<float>, const Context&, int64_t);
template void gram(const CsrView<double>&, const double*, SymmetricView<double>, const Context&, int64_t);

}  // namespace fastlae
