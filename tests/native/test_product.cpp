// Products of dense matrices, transposed or not, against plain loops in double precision.
#include "check.hpp"
#include "fastlae/product.hpp"

namespace fastlae::test {

using std::int64_t;

template <class T>
void check(int64_t m, int64_t n, int64_t k, bool transpose_a, bool transpose_b) {
  Random random(static_cast<std::uint64_t>(m * 1000003 + n * 1009 + k));
  Matrix<T> a(transpose_a ? k : m, transpose_a ? m : k, 3), b(transpose_b ? n : k, transpose_b ? k : n, 1);
  for (int64_t l = 0; l < k; ++l) {
    for (int64_t i = 0; i < m; ++i) (transpose_a ? a(l, i) : a(i, l)) = static_cast<T>(random());
    for (int64_t j = 0; j < n; ++j) (transpose_b ? b(j, l) : b(l, j)) = static_cast<T>(random());
  }
  Matrix<T> c(m, n, 2), c3(m, n, 2), c16(m, n, 2);
  product<T>({a.view(), transpose_a}, {b.view(), transpose_b}, c.view(), context(1));
  product<T>({a.view(), transpose_a}, {b.view(), transpose_b}, c3.view(), context(3));
  product<T>({a.view(), transpose_a}, {b.view(), transpose_b}, c16.view(), context(16));
  CHECK(c.intact() && c.same_bits(c3) && c.same_bits(c16), "%d x %d x %d", int(m), int(n), int(k));
  const double tolerance = static_cast<double>(k + 8) * static_cast<double>(std::numeric_limits<T>::epsilon());
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t l = 0; l < k; ++l)
        sum += double(transpose_a ? a(l, i) : a(i, l)) * double(transpose_b ? b(j, l) : b(l, j));
      CHECK(std::abs(sum - double(c(i, j))) <= tolerance, "(%d, %d) of %d x %d x %d", int(i), int(j), int(m), int(n),
            int(k));
    }
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  constexpr std::int64_t sizes[][3] = {{1, 1, 1},     {5, 0, 3},    {0, 4, 3},    {7, 9, 0},      {1, 300, 20},
                                       {97, 17, 641}, {200, 33, 5}, {3, 2100, 7}, {101, 50, 1300}};
  for (const auto& size : sizes)
    for (const bool transpose_a : {false, true})
      for (const bool transpose_b : {false, true}) {
        check<float>(size[0], size[1], size[2], transpose_a, transpose_b);
        check<double>(size[0], size[1], size[2], transpose_a, transpose_b);
      }
  return report("product");
}
