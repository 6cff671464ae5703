#include "fastlae/rows.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>

#include "parallel.hpp"

namespace fastlae {

namespace {

using std::int32_t;
using std::int64_t;

constexpr int64_t kGrain = 1 << 18;  // values of a chunk: a tenth of a millisecond

/// A stretch of a piece, and where it begins in the whole column.
template <class T>
struct Stretch {
  const T* values;
  int64_t size, place;
};

template <class T>
std::vector<Stretch<T>> stretches(const std::vector<Piece<T>>& pieces) {
  std::vector<Stretch<T>> found;
  int64_t place = 0;
  for (const Piece<T>& piece : pieces)
    for (int64_t begin = 0; begin < piece.size; begin += kGrain) {
      const int64_t size = std::min(kGrain, piece.size - begin);
      found.push_back({piece.values + begin, size, place});
      place += size;
    }
  return found;
}

/// Calls body(stretch, its number) on all of them.
template <class T, class Body>
void for_each_stretch(const std::vector<Stretch<T>>& all, const Context& context, Body&& body) {
  parallel_for(context, static_cast<int64_t>(all.size()), 1, [&](int64_t first, int64_t last, int) {
    for (int64_t i = first; i < last; ++i) body(all[static_cast<std::size_t>(i)], static_cast<std::size_t>(i));
  });
}

/// Entries of one row, in the order given, brought into the order of their items.
class RowSorter {
 public:
  RowSorter(const std::vector<Carried>& carried, int32_t* indices) : carried_(carried), indices_(indices) {}

  /// Row [begin, begin + size): items[k] and place(k) are what entry k holds. Returns how many are like their
  /// neighbour.
  template <class Place>
  int64_t sort(const int32_t* items, int64_t begin, int64_t size, Place&& place) {
    int32_t* const out = indices_ + begin;
    bool ascending = true;
    for (int64_t k = 1; k < size; ++k) ascending &= items[k - 1] <= items[k];
    if (ascending) {
      std::copy(items, items + size, out);
      carry(begin, size, place);
    } else {
      keys_.resize(static_cast<std::size_t>(size));
      std::uint64_t all = 0;
      for (int64_t k = 0; k < size; ++k) {
        keys_[static_cast<std::size_t>(k)] = static_cast<std::uint64_t>(items[k]) << 32 | static_cast<std::uint64_t>(k);
        all |= static_cast<std::uint64_t>(items[k]);
      }
      sort_keys(all);
      for (int64_t k = 0; k < size; ++k) out[k] = static_cast<int32_t>(keys_[static_cast<std::size_t>(k)] >> 32);
      carry(begin, size,
            [&](int64_t k) { return place(static_cast<int64_t>(keys_[static_cast<std::size_t>(k)] & 0xffffffffu)); });
    }
    int64_t same = 0;
    for (int64_t k = 1; k < size; ++k) same += out[k - 1] == out[k];
    return same;
  }

 private:
  /// Ascending; `all` has every bit that an item has. Places, in the lower half, are in order already.
  void sort_keys(std::uint64_t all) {
    const std::size_t size = keys_.size();
    if (size < 64) {  // below that, comparing is faster than counting
      std::sort(keys_.begin(), keys_.end());
      return;
    }
    other_.resize(size);
    const int bits = size < 4096 ? 8 : 11;  // the counts are worth clearing for so many keys
    counts_.resize(std::size_t{1} << bits);
    for (int shift = 0; shift < 32 && all >> shift != 0; shift += bits) {
      const std::uint64_t mask = counts_.size() - 1;
      std::fill(counts_.begin(), counts_.end(), 0);
      for (const std::uint64_t key : keys_) ++counts_[key >> (32 + shift) & mask];
      std::size_t at = 0;
      for (std::size_t& count : counts_) at += std::exchange(count, at);
      for (const std::uint64_t key : keys_) other_[counts_[key >> (32 + shift) & mask]++] = key;
      keys_.swap(other_);
    }
  }

  template <class Place>
  void carry(int64_t begin, int64_t size, Place&& place) {
    for (const Carried& column : carried_) {
      if (column.bytes == 4)
        gather<std::uint32_t>(column, begin, size, place);
      else
        gather<std::uint64_t>(column, begin, size, place);
    }
  }

  template <class T, class Place>
  static void gather(const Carried& column, int64_t begin, int64_t size, Place&& place) {
    const auto* const from = static_cast<const char*>(column.from);
    auto* const to = static_cast<char*>(column.to) + begin * static_cast<int64_t>(sizeof(T));
    for (int64_t k = 0; k < size; ++k) {
      T value;
      std::memcpy(&value, from + place(k) * static_cast<int64_t>(sizeof(T)), sizeof(T));
      std::memcpy(to + k * static_cast<int64_t>(sizeof(T)), &value, sizeof(T));
    }
  }

  const std::vector<Carried>& carried_;
  int32_t* indices_;
  std::vector<std::uint64_t> keys_, other_;
  std::vector<std::size_t> counts_;
};

/// Where every row begins, and whether the users come in order already.
bool count_rows(const int32_t* users, int64_t n, int64_t n_users, int64_t* indptr, const Context& context) {
  std::atomic<bool> sorted{true};
  parallel_for(context, n, kGrain, [&](int64_t begin, int64_t end, int) {
    bool ascending = true;
    for (int64_t e = std::max<int64_t>(1, begin); e < end; ++e) ascending &= users[e - 1] <= users[e];
    if (!ascending) sorted.store(false, std::memory_order_relaxed);
  });
  if (!sorted) return false;
  // A row begins where its user first appears; whoever has nothing begins where the next one does.
  std::fill(indptr, indptr + n_users + 1, n);
  parallel_for(context, n, kGrain, [&](int64_t begin, int64_t end, int) {
    for (int64_t e = begin; e < end; ++e)
      if (e == 0 || users[e - 1] != users[e]) indptr[users[e]] = e;
  });
  for (int64_t u = n_users - 1; u >= 0; --u) indptr[u] = std::min(indptr[u], indptr[u + 1]);
  return true;
}

/// The pairs dealt out to their rows, each with its place in the order given.
template <class Place>
int64_t deal_and_sort(const int32_t* users, const int32_t* items, int64_t n, int64_t n_users, int64_t* indptr,
                      int32_t* indices, const std::vector<Carried>& carried, const Context& context) {
  // Every part counts its own users; more parts than rows have entries would count more than they deal.
  const int64_t parts = std::clamp<int64_t>(n / std::max<int64_t>(1, n_users), 1, context.num_threads);
  const auto bound = [&](int64_t part) { return n / parts * part + std::min(part, n % parts); };
  const auto width = static_cast<std::size_t>(n_users);
  std::vector<int64_t> next(width * static_cast<std::size_t>(parts), 0);
  parallel_for(context, parts, 1, [&](int64_t first, int64_t last, int) {
    for (int64_t part = first; part < last; ++part) {
      int64_t* const mine = next.data() + width * static_cast<std::size_t>(part);
      for (int64_t e = bound(part); e < bound(part + 1); ++e) ++mine[users[e]];
    }
  });
  int64_t at = 0;
  for (std::size_t u = 0; u < width; ++u) {
    indptr[u] = at;
    for (std::size_t part = 0; part < static_cast<std::size_t>(parts); ++part) {
      const int64_t count = next[width * part + u];
      next[width * part + u] = at;
      at += count;
    }
  }
  indptr[n_users] = at;
  const auto dealt = std::make_unique<int32_t[]>(static_cast<std::size_t>(n));
  const auto places = std::make_unique<Place[]>(static_cast<std::size_t>(n));
  parallel_for(context, parts, 1, [&](int64_t first, int64_t last, int) {
    for (int64_t part = first; part < last; ++part) {
      int64_t* const mine = next.data() + width * static_cast<std::size_t>(part);
      for (int64_t e = bound(part); e < bound(part + 1); ++e) {
        const int64_t to = mine[users[e]]++;
        dealt[static_cast<std::size_t>(to)] = items[e];
        places[static_cast<std::size_t>(to)] = static_cast<Place>(e);
      }
    }
  });
  std::atomic<int64_t> same{0};
  parallel_for(context, n_users, 256, [&](int64_t first, int64_t last, int) {
    RowSorter sorter(carried, indices);
    int64_t mine = 0;
    for (int64_t u = first; u < last; ++u) {
      const Place* const place = places.get() + indptr[u];
      mine += sorter.sort(dealt.get() + indptr[u], indptr[u], indptr[u + 1] - indptr[u],
                          [place](int64_t k) { return static_cast<int64_t>(place[k]); });
    }
    same.fetch_add(mine, std::memory_order_relaxed);
  });
  return same;
}

}  // namespace

template <class T>
Range value_range(const std::vector<Piece<T>>& pieces, const Context& context) {
  const auto all = stretches(pieces);
  std::vector<Range> ranges(all.size());
  for_each_stretch(all, context, [&](const Stretch<T>& one, std::size_t i) {
    T low = one.values[0], high = one.values[0];
    for (int64_t e = 1; e < one.size; ++e) {
      low = std::min(low, one.values[e]);
      high = std::max(high, one.values[e]);
    }
    ranges[i] = {low, high};
  });
  if (ranges.empty()) return {};
  Range found = ranges[0];
  for (const Range& one : ranges) found = {std::min(found.low, one.low), std::max(found.high, one.high)};
  return found;
}

template <class T>
int64_t encode_integers(const std::vector<Piece<T>>& pieces, int64_t low, int64_t span, int32_t* codes,
                        std::vector<int64_t>& distinct, const Context& context) {
  const auto all = stretches(pieces);
  std::vector<std::atomic<unsigned char>> present(static_cast<std::size_t>(span));
  for_each_stretch(all, context, [&](const Stretch<T>& one, std::size_t) {
    for (int64_t e = 0; e < one.size; ++e) {
      auto& mark = present[static_cast<std::size_t>(one.values[e] - low)];
      // Looked at first: a line that nobody writes stays in every core's cache.
      if (!mark.load(std::memory_order_relaxed)) mark.store(1, std::memory_order_relaxed);
    }
  });
  std::vector<int32_t> place(static_cast<std::size_t>(span));
  distinct.clear();
  for (std::size_t v = 0; v < place.size(); ++v) {
    place[v] = static_cast<int32_t>(distinct.size());
    if (present[v].load(std::memory_order_relaxed)) distinct.push_back(low + static_cast<int64_t>(v));
  }
  for_each_stretch(all, context, [&](const Stretch<T>& one, std::size_t) {
    for (int64_t e = 0; e < one.size; ++e) codes[one.place + e] = place[static_cast<std::size_t>(one.values[e] - low)];
  });
  return static_cast<int64_t>(distinct.size());
}

bool has_odd_numbers(const char* text, int64_t size, char separator) {
  // Bytes of 0 and 255; `V` is a vector of them, or one alone. Compilers do not find the vectors by themselves.
  const char tab = separator == '\t' ? ' ' : '\t';  // between columns it is no blank
  const auto odd_at = [separator, tab](auto before, auto c, auto after) {
    const auto edge = [separator](auto x) { return (x == separator) | (x == '\n') | (x == '\r') | (x == '"'); };
    const auto blank = (c == ' ') | (c == tab);
    const auto digit = (after >= '0') & (after <= '9'), hex = (after == 'x') | (after == 'X');
    const auto padded = ((c == '0') & (digit | hex)) | ((c == '-') & (after == '0'));
    return (edge(before) & (padded | (c == '+') | blank)) | (blank & edge(after));
  };
  using V = char __attribute__((vector_size(16)));
  const auto load = [](const char* from) {
    V v;
    std::memcpy(&v, from, sizeof(V));
    return v;
  };
  constexpr int64_t kWidth = sizeof(V);
  auto any = odd_at(V{}, V{}, V{});
  int64_t e = 1;
  for (; e + kWidth < size; e += kWidth) any |= odd_at(load(text + e - 1), load(text + e), load(text + e + 1));
  for (int64_t lane = 0; lane < kWidth; ++lane)
    if (any[lane]) return true;
  for (; e + 1 < size; ++e)
    if (odd_at(text[e - 1], text[e], text[e + 1])) return true;
  return false;
}

int64_t sort_into_rows(const int32_t* users, const int32_t* items, int64_t n, int64_t n_users, int64_t* indptr,
                       int32_t* indices, const std::vector<Carried>& carried, const Context& context) {
  if (!count_rows(users, n, n_users, indptr, context)) {
    if (n > std::numeric_limits<int32_t>::max())
      return deal_and_sort<int64_t>(users, items, n, n_users, indptr, indices, carried, context);
    return deal_and_sort<int32_t>(users, items, n, n_users, indptr, indices, carried, context);
  }
  std::atomic<int64_t> same{0};
  parallel_for(context, n_users, 256, [&](int64_t first, int64_t last, int) {
    RowSorter sorter(carried, indices);
    int64_t mine = 0;
    for (int64_t u = first; u < last; ++u) {
      const int64_t begin = indptr[u];
      mine += sorter.sort(items + begin, begin, indptr[u + 1] - begin, [begin](int64_t k) { return begin + k; });
    }
    same.fetch_add(mine, std::memory_order_relaxed);
  });
  return same;
}

#define FASTLAE_INSTANTIATE(T)                                                                                         \
  template Range value_range<T>(const std::vector<Piece<T>>&, const Context&);                                         \
  template int64_t encode_integers<T>(const std::vector<Piece<T>>&, int64_t, int64_t, int32_t*, std::vector<int64_t>&, \
                                      const Context&);
FASTLAE_INSTANTIATE(int32_t)
FASTLAE_INSTANTIATE(int64_t)

}  // namespace fastlae
