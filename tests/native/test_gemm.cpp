// The matrix product against three nested loops in double precision.
#include <algorithm>

#include "check.hpp"

namespace fastlae::test {

using namespace simd;
using std::int64_t;

struct Case {
  int64_t m, n, k;
  bool transpose_a, transpose_b;
  double alpha, beta;
  int shape;
  int64_t gap;
};

template <class T>
void run(const Case& p, Random& random) {
  Matrix<T> a(p.transpose_a ? p.k : p.m, p.transpose_a ? p.m : p.k, p.gap);
  Matrix<T> b(p.transpose_b ? p.n : p.k, p.transpose_b ? p.k : p.n, p.gap);
  Matrix<T> c(p.m, p.n, p.gap);
  const auto op_a = [&](int64_t i, int64_t l) -> T& { return p.transpose_a ? a(l, i) : a(i, l); };
  const auto op_b = [&](int64_t l, int64_t j) -> T& { return p.transpose_b ? b(j, l) : b(l, j); };
  for (int64_t i = 0; i < p.m; ++i)
    for (int64_t l = 0; l < p.k; ++l)
      op_a(i, l) = ((p.shape & kLowerA) && l > i) || ((p.shape & kUpperA) && l < i) ? T(0) : static_cast<T>(random());
  for (int64_t l = 0; l < p.k; ++l)
    for (int64_t j = 0; j < p.n; ++j)
      op_b(l, j) = ((p.shape & kLowerB) && l < j) || ((p.shape & kUpperB) && l > j) ? T(0) : static_cast<T>(random());
  // With beta = 0 the old C must not be read: it may hold anything.
  std::vector<double> before(static_cast<std::size_t>(p.m * p.n));
  for (int64_t i = 0; i < p.m; ++i)
    for (int64_t j = 0; j < p.n; ++j) {
      c(i, j) = p.beta == 0 ? std::numeric_limits<T>::quiet_NaN() : static_cast<T>(random());
      before[static_cast<std::size_t>(i * p.n + j)] = static_cast<double>(c(i, j));
    }
  simd::gemm_kernel<T>().gemm(p.transpose_a, p.transpose_b, p.m, p.n, p.k, static_cast<T>(p.alpha), a.view().data,
                              a.view().stride, b.view().data, b.view().stride, static_cast<T>(p.beta), c.view().data,
                              c.view().stride, p.shape);
  const double unit = static_cast<double>(std::numeric_limits<T>::epsilon());
  int64_t wrong = 0;
  for (int64_t i = 0; i < p.m; ++i)
    for (int64_t j = 0; j < ((p.shape & kLowerC) ? std::min(i + 1, p.n) : p.n); ++j) {
      double sum = 0, size = 0;
      for (int64_t l = 0; l < p.k; ++l) {
        const double term = static_cast<double>(op_a(i, l)) * static_cast<double>(op_b(l, j));
        sum += term;
        size += std::abs(term);
      }
      double expected = p.alpha * sum, bound = std::abs(p.alpha) * size;
      if (p.beta != 0) {
        const double old = before[static_cast<std::size_t>(i * p.n + j)];
        expected += p.beta * old;
        bound += std::abs(p.beta * old);
      }
      wrong += !(std::abs(static_cast<double>(c(i, j)) - expected) <= unit * static_cast<double>(p.k + 4) * bound);
    }
  CHECK(wrong == 0 && c.intact(), "%lld entries wrong for %d bytes, m %lld n %lld k %lld, op %d%d, %g %g, shape %d",
        static_cast<long long>(wrong), static_cast<int>(sizeof(T)), static_cast<long long>(p.m),
        static_cast<long long>(p.n), static_cast<long long>(p.k), p.transpose_a, p.transpose_b, p.alpha, p.beta,
        p.shape);
}

template <class T>
void all(std::uint64_t seed) {
  Random random(seed);
  const int shapes[] = {kFull,   kLowerC, kLowerA,           kUpperA,           kLowerB,
                        kUpperB, 9,       kLowerC | kUpperA, kLowerC | kUpperB, kLowerC | kUpperA | kLowerB};
  const double scales[] = {0, 1, -1, 0.75};
  // Every pair of transposes with every shape, on sizes around those of the register tiles, and empty ones.
  const int64_t sizes[] = {1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 16, 17, 24, 25, 31, 32, 33, 48, 63, 65, 97};
  const auto size = [&] { return sizes[random.below(22)]; };
  for (int round = 0; round < 8; ++round)
    for (int op = 0; op < 4; ++op)
      for (const int shape : shapes)
        run<T>({size(), size(), size(), op >= 2, op % 2 == 1, scales[1 + random.below(3)], scales[random.below(4)],
                shape, random.below(2) * 3},
               random);
  for (int op = 0; op < 4; ++op)
    for (const double beta : scales) {
      run<T>({1, 1, 1, op >= 2, op % 2 == 1, 1, beta, kFull, 0}, random);
      run<T>({5, 7, 0, op >= 2, op % 2 == 1, 1, beta, kFull, 0}, random);
      run<T>({0, 7, 3, op >= 2, op % 2 == 1, 1, beta, kFull, 0}, random);
      run<T>({5, 0, 3, op >= 2, op % 2 == 1, 1, beta, kFull, 0}, random);
      run<T>({0, 0, 0, op >= 2, op % 2 == 1, 1, beta, kFull, 0}, random);
    }
  // Past each of the cache blocks (192 rows, 1024 columns, depth 320).
  for (const int shape : shapes) {
    const bool ta = random.below(2) == 1, tb = random.below(2) == 1;
    run<T>({193, 65, 321, ta, tb, 1, -1, shape, 1}, random);
    run<T>({385, 33, 640, tb, ta, -1, 0, shape, 0}, random);
  }
  run<T>({29, 1025, 30, false, false, 1, 1, kFull, 0}, random);
  run<T>({1100, 1061, 13, false, true, 1, 1, kLowerC, 0}, random);
}

}  // namespace fastlae::test

int main() {
  fastlae::test::all<float>(1);
  fastlae::test::all<double>(2);
  return fastlae::test::report("gemm");
}
