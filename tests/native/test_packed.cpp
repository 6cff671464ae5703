// Packed symmetric matrices: the inverse has the bits of the full form, and columns come from both sides.
#include "check.hpp"
#include "fastlae/packed.hpp"
#include "fastlae/spd_inverse.hpp"

namespace fastlae::test {

using std::int64_t;

template <class T>
void packed(int64_t n, int64_t tile) {
  Random random(static_cast<std::uint64_t>(n + tile));
  Matrix<T> a(n, n, 2);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j <= i; ++j) a(i, j) = a(j, i) = static_cast<T>(i == j ? n + random() : random());
  SymmetricView<T> view{nullptr, n, tile, 0};
  std::vector<T> values(static_cast<std::size_t>(view.length()));
  view.data = values.data();
  const auto fill = [&] {
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j <= i; ++j) view.row(i)[j] = a(i, j);
  };
  fill();
  std::vector<int64_t> chosen{n - 1, 0, n / 2, 0};
  for (int64_t j = 0; j < n; j += 3) chosen.push_back(j);
  for (const int threads : {1, 3}) {
    Matrix<T> out(n, static_cast<int64_t>(chosen.size()), 1);
    symmetric_columns<T>(view, chosen.data(), out.view(), context(threads));
    int wrong = 0;
    for (int64_t i = 0; i < n; ++i)
      for (std::size_t k = 0; k < chosen.size(); ++k) wrong += out(i, static_cast<int64_t>(k)) != a(i, chosen[k]);
    CHECK(wrong == 0 && out.intact(), "n %d, tile %d", static_cast<int>(n), static_cast<int>(tile));
  }
  Matrix<T> full(n, n, 0);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) full(i, j) = a(i, j);
  spd_inverse<T>(full.view(), context(2));
  for (const int threads : {1, 3}) {
    fill();
    spd_inverse<T>(view, context(threads));
    double worst = 0;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j <= i; ++j)
        worst = std::max(worst, std::abs(static_cast<double>(view.row(i)[j]) - static_cast<double>(full(i, j))));
    const bool same_tiles = tile == inverse_tile(n);
    const double unit = static_cast<double>(std::numeric_limits<T>::epsilon());
    CHECK(same_tiles ? worst == 0 : worst < 4 * unit, "n %d, tile %d: %g", static_cast<int>(n), static_cast<int>(tile),
          worst);
  }
}

template <class T>
void all() {
  for (const int64_t n : {1, 2, 63, 64, 65, 200, 500})
    for (const int64_t tile : {int64_t(1), int64_t(7), int64_t(96), int64_t(1000), inverse_tile(n)})
      if (n / tile < 100) packed<T>(n, tile);
}

}  // namespace fastlae::test

int main() {
  fastlae::test::all<float>();
  fastlae::test::all<double>();
  return fastlae::test::report("packed");
}
