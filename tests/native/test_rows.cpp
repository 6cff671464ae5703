// Columns to codes, and pairs to rows, against a table and a stable sort.
#include <algorithm>
#include <numeric>
#include <set>
#include <string>

#include "check.hpp"
#include "fastlae/rows.hpp"

namespace fastlae::test {

using std::int32_t;
using std::int64_t;

template <class T>
std::vector<Piece<T>> cut(const std::vector<T>& values, int64_t length) {
  std::vector<Piece<T>> pieces;
  const auto n = static_cast<int64_t>(values.size());
  for (int64_t begin = 0; begin < n; begin += length) {
    pieces.push_back({values.data() + begin, std::min(length, n - begin)});
    pieces.push_back({});  // an empty one does no harm
  }
  return pieces;
}

template <class T>
void check_codes(int64_t n, int64_t low, int64_t span, int64_t length) {
  Random random(static_cast<std::uint64_t>(n + span));
  std::vector<T> values;
  for (int64_t e = 0; e < n; ++e) values.push_back(static_cast<T>(low + random.below(span)));
  const std::set<T> occurring(values.begin(), values.end());
  const std::vector<int64_t> want(occurring.begin(), occurring.end());
  const auto pieces = cut(values, length);
  for (const int threads : {1, 3}) {
    const Range range = value_range(pieces, context(threads));
    if (n == 0) {
      CHECK(range.low > range.high, "an empty column has no range");
      continue;
    }
    CHECK(range.low == want.front() && range.high == want.back(), "range of %d values", static_cast<int>(n));
    std::vector<int32_t> codes(values.size(), -1);
    std::vector<int64_t> distinct;
    encode_integers(pieces, range.low, range.high - range.low + 1, codes.data(), distinct, context(threads));
    CHECK(distinct == want, "distinct values of %d, %d threads", static_cast<int>(n), threads);
    bool same = true;
    for (std::size_t e = 0; e < values.size(); ++e) same &= want[static_cast<std::size_t>(codes[e])] == values[e];
    CHECK(same, "codes of %d values, %d threads", static_cast<int>(n), threads);
  }
}

void check_rows(int64_t n, int64_t users, int64_t items, bool in_order) {
  Random random(static_cast<std::uint64_t>(n + users));
  std::vector<int32_t> u, i;
  for (int64_t e = 0; e < n; ++e) {
    u.push_back(static_cast<int32_t>(random.below(users)));
    i.push_back(static_cast<int32_t>(random.below(items)));
  }
  if (in_order) std::sort(u.begin(), u.end());
  std::vector<int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  const auto key = [&](int64_t e) { return std::pair(u[static_cast<std::size_t>(e)], i[static_cast<std::size_t>(e)]); };
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return key(a) < key(b); });
  int64_t want_same = 0;
  for (std::size_t e = 1; e < order.size(); ++e) want_same += key(order[e]) == key(order[e - 1]);
  std::vector<int64_t> places(static_cast<std::size_t>(n));
  std::iota(places.begin(), places.end(), 0);
  const std::vector<float> floats(places.begin(), places.end());
  for (const int threads : {1, 2, 7}) {
    std::vector<int64_t> indptr(static_cast<std::size_t>(users + 1), -1), carried(static_cast<std::size_t>(n));
    std::vector<int32_t> indices(static_cast<std::size_t>(n), -1);
    std::vector<float> carried_floats(static_cast<std::size_t>(n));
    const int64_t same = sort_into_rows(u.data(), i.data(), n, users, indptr.data(), indices.data(),
                                        {{places.data(), carried.data(), 8}, {floats.data(), carried_floats.data(), 4}},
                                        context(threads));
    CHECK(same == want_same, "%d pairs are like the one before, not %d", static_cast<int>(same),
          static_cast<int>(want_same));
    CHECK(carried == order, "order of %d pairs, %d users, %d threads", static_cast<int>(n), static_cast<int>(users),
          threads);
    CHECK(std::vector<float>(order.begin(), order.end()) == carried_floats, "a column of four bytes");
    bool right = indptr.front() == 0 && indptr.back() == n;
    for (int64_t row = 0; row < users; ++row)
      for (int64_t e = indptr[static_cast<std::size_t>(row)]; e < indptr[static_cast<std::size_t>(row + 1)]; ++e)
        right &= key(order[static_cast<std::size_t>(e)]) ==
                 std::pair(static_cast<int32_t>(row), indices[static_cast<std::size_t>(e)]);
    CHECK(right, "rows of %d pairs, %d users, %d threads", static_cast<int>(n), static_cast<int>(users), threads);
  }
}

bool is_odd(const std::string& text, char separator) {
  const auto edge = [&](char c) { return c == separator || c == '\n' || c == '\r' || c == '"'; };
  for (std::size_t e = 1; e + 1 < text.size(); ++e) {
    const char before = text[e - 1], c = text[e], after = text[e + 1];
    const bool blank = c == ' ' || (c == '\t' && separator != '\t');
    const bool digit = after >= '0' && after <= '9';
    if (edge(before) && (blank || c == '+' || (c == '-' && after == '0'))) return true;
    if (edge(before) && c == '0' && (digit || after == 'x' || after == 'X')) return true;
    if (edge(after) && blank) return true;
  }
  return false;
}

void check_text(char separator, int64_t most) {
  Random random(static_cast<std::uint64_t>(separator));
  // Rarely odd by chance, so that it matters where the one odd place is.
  const std::string letters = "12345678900.x" + std::string(4, separator) + "\n";
  int odd = 0, even = 0;
  for (int64_t size = 0; size < most; ++size)
    for (int trial = 0; trial < 8; ++trial) {
      std::string text = "\n";
      while (static_cast<int64_t>(text.size()) < size) {
        const char c = letters[static_cast<std::size_t>(random.below(static_cast<int64_t>(letters.size())))];
        if (!is_odd(text.substr(text.size() - std::min<std::size_t>(2, text.size())) + c, separator)) text += c;
      }
      if (trial % 2 && size > 3) text[static_cast<std::size_t>(random.below(size))] = "+- 0\t"[random.below(5)];
      const std::vector<char> exact(text.begin(), text.end());  // ends where its memory ends
      const bool got = has_odd_numbers(exact.data(), static_cast<int64_t>(exact.size()), separator);
      CHECK(got == is_odd(text, separator), "odd numbers in %s", text.c_str());
      (got ? odd : even) += 1;
    }
  CHECK(odd > 50 && even > most, "%d texts are odd, %d are not", odd, even);
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  check_codes<std::int64_t>(0, 0, 1, 10);
  check_codes<std::int64_t>(1, -7, 1, 10);
  check_codes<std::int64_t>(5000, -1'000'000'000'000, 900, 700);
  check_codes<std::int32_t>(600'000, -40, 70, 500'000);
  for (const bool in_order : {false, true}) {
    check_rows(0, 3, 1, in_order);
    check_rows(1, 1, 1, in_order);
    check_rows(2000, 300, 40, in_order);
    check_rows(300, 5000, 9, in_order);  // most rows are empty
    check_rows(300'000, 7, 100'000, in_order);
  }
  check_text(',', 150);
  check_text('\t', 150);
  return report("rows");
}
