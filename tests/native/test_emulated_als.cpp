// The emulated kernels of csrc/cuda/als.cu against the CPU's.
#include <vector>

#include "emulated.hpp"
#include "fastlae/als.hpp"
#include "fastlae/cuda/als.hpp"
#include "fastlae/product.hpp"

namespace fastlae::test {

template <class T>
void check(int64_t rows, int64_t columns, int64_t others, int64_t dim) {
  Random random(static_cast<std::uint64_t>(rows * 1000 + columns * 10 + dim));
  const Csr<T> first = interactions<T>(rows, columns, 0.1, random), second = interactions<T>(rows, others, 0.2, random);
  Matrix<T> f(columns, dim, 1), g(others, dim), prior(rows, dim, 2), shared(dim, dim);
  for (auto* m : {&f, &g, &prior})
    for (int64_t i = 0; i < m->view().rows; ++i)
      for (int64_t j = 0; j < dim; ++j) (*m)(i, j) = static_cast<T>(random());
  transposed_product<T>(f.view(), f.view(), shared.view(), context(1));
  std::vector<T> weights, targets, ridge;
  for (std::size_t k = 0; k < first.indices.size(); ++k) {
    weights.push_back(static_cast<T>(random() + 2));
    targets.push_back(static_cast<T>(random()));
  }
  for (int64_t r = 0; r < rows; ++r) ridge.push_back(static_cast<T>(random() + 2));
  const CsrView<T> x{rows, columns, first.indptr.data(), first.indices.data(), weights.data()};
  const CsrView<T> z{rows, others, second.indptr.data(), second.indices.data(), nullptr};
  const AlsTerm<T> terms[2] = {{x, T(1), targets.data(), T(0), f.view()}, {z, T(0.5), nullptr, T(1), g.view()}};
  cuda::AlsTerm<T> there[2] = {{device_csr(first, columns, true), T(1), targets.data(), T(0), f.view()},
                               {device_csr(second, others, false), T(0.5), nullptr, T(1), g.view()}};
  there[0].x.values = weights.data();
  for (const int count : {1, 2})
    for (const bool with_prior : {false, true})
      for (const int steps : {0, 3}) {
        Matrix<T> expected(rows, dim, 1), p(rows, dim, 1);
        const MatrixView<const T> start = with_prior ? MatrixView<const T>(prior.view()) : MatrixView<const T>{};
        const auto begin = [&](Matrix<T>& m) {
          for (int64_t i = 0; i < rows; ++i)
            for (int64_t j = 0; j < dim; ++j) m(i, j) = T(0.25);
        };
        begin(expected);
        als_rows<T>(terms, count, shared.view(), ridge.data(), start, expected.view(), steps, context(1));
        under_schedules([&] {
          const Device device(cuda::als_rows_workspace(rows, dim, steps, sizeof(T)));
          std::int32_t info = 7;
          begin(p);
          cuda::als_rows<T>(there, count, shared.view(), ridge.data(), start, p.view(), steps, &info, device.context());
          CHECK(info == -1 && p.intact(), "dim %d, %d steps", static_cast<int>(dim), steps);
          for (int64_t r = 0; r < rows; ++r)
            for (int64_t j = 0; j < dim; ++j)
              CHECK(std::abs(double(p(r, j)) - double(expected(r, j))) <=
                        2000 * double(std::numeric_limits<T>::epsilon()) * (1 + std::abs(double(expected(r, j)))),
                    "(%d, %d) of dim %d, %d terms, %d steps: %g, expected %g", static_cast<int>(r), static_cast<int>(j),
                    static_cast<int>(dim), count, steps, double(p(r, j)), double(expected(r, j)));
        });
      }
}

void check_singular() {
  const std::int64_t indptr[3] = {0, 0, 1};
  const std::int32_t index = 0;
  Matrix<double> f(1, 3), shared(3, 3), p(2, 3);
  for (int64_t i = 0; i < 3; ++i) {
    f(0, i) = 1;
    p(0, i) = p(1, i) = 4;
    for (int64_t j = 0; j < 3; ++j) shared(i, j) = 0;
  }
  const double ridge[2] = {0, 0};
  const cuda::AlsTerm<double> term{{2, 1, 1, indptr, &index, nullptr}, 1.0, nullptr, 0.0, f.view()};
  const Device device(cuda::als_rows_workspace(2, 3, 0, 8));
  std::int32_t info = 7;
  cuda::als_rows<double>(&term, 1, shared.view(), ridge, {}, p.view(), 0, &info, device.context());
  CHECK(info == 1 && p(0, 0) == 0 && p(1, 0) == 4, "a singular problem is told, at row %d", info);
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  for (const std::int64_t dim : {1, 7, 33, 70}) {  // the matrix of the last two does not fit in shared memory
    check<float>(8, 40, 25, dim);
    check<double>(8, 40, 25, dim);
  }
  check<double>(0, 4, 4, 3);
  check_singular();
  return report_emulated("als_rows");
}
