// Body of knn_rows.hpp. One byte a comparison, which compilers make of vectors; eight that are zero are passed over.

template <class Dot>
std::int64_t sift(const Dot* __restrict dots, const Term<Dot>* __restrict terms, std::int64_t count, Term<Dot> gain,
                  Term<Dot> offset, Term<Dot> slope, std::int32_t* __restrict positions) {
  constexpr std::int64_t some = 64;
  std::int64_t found = 0;
  unsigned char passed[some];
  for (std::int64_t begin = 0; begin < count; begin += some) {
    const std::int64_t width = count - begin < some ? count - begin : some;
    const auto test = [&](std::int64_t l) {
      const auto dot = static_cast<Term<Dot>>(dots[begin + l]);
      return static_cast<unsigned char>(dot * gain > offset + slope * terms[begin + l]);
    };
    if (width == some) {
      for (std::int64_t l = 0; l < some; ++l) passed[l] = test(l);
    } else {
      for (std::int64_t l = 0; l < some; ++l) passed[l] = 0;
      for (std::int64_t l = 0; l < width; ++l) passed[l] = test(l);
    }
    for (std::int64_t l = 0; l < some; l += 8) {
      std::uint64_t eight;
      std::memcpy(&eight, passed + l, sizeof eight);
      if (eight == 0) continue;
      for (std::int64_t m = l; m < l + 8; ++m) {
        positions[found] = static_cast<std::int32_t>(begin + m);  // overwritten by the next one if it has not passed
        found += passed[m];
      }
    }
  }
  return found;
}
