// The emulated kernels of csrc/cuda/multinomial.cu, and those of csrc/cuda/score.cu that a sparse layer is made of,
// against the CPU's.
#include <vector>

#include "emulated.hpp"
#include "fastlae/cuda/multinomial.hpp"
#include "fastlae/cuda/score.hpp"
#include "fastlae/multinomial.hpp"
#include "fastlae/sparse_linear.hpp"

namespace fastlae::test {

template <class T>
bool near(T a, T b, double size) {
  return std::abs(static_cast<double>(a) - static_cast<double>(b)) <=
         64 * static_cast<double>(std::numeric_limits<T>::epsilon()) * size;
}

template <class T>
void check_multinomial(int64_t batch, int64_t n) {
  Random random(static_cast<std::uint64_t>(batch * 31 + n));
  Csr<T> data = interactions<T>(batch, n, 0.1, random);
  for (T& v : data.values) v = std::abs(v);
  Matrix<T> z(batch, n, 3), expected(batch, n), dz(batch, n, 2);
  std::vector<T> grad, loss(static_cast<std::size_t>(batch)), lse(loss), loss_there(loss), lse_there(loss);
  for (int64_t u = 0; u < batch; ++u) {
    grad.push_back(static_cast<T>(random()));
    for (int64_t i = 0; i < n; ++i)
      z(u, i) = random() < -0.9 ? -std::numeric_limits<T>::infinity() : static_cast<T>(8 * random());
    for (int64_t e = data.indptr[static_cast<std::size_t>(u)]; e < data.indptr[static_cast<std::size_t>(u + 1)]; ++e)
      z(u, data.indices[static_cast<std::size_t>(e)]) = T(1);  // what is there has a finite score
  }
  for (const bool valued : {false, true}) {
    const CsrView<T> x{batch, n, data.indptr.data(), data.indices.data(), valued ? data.values.data() : nullptr};
    multinomial_nll<T>(z.view(), x, loss.data(), lse.data(), context(1));
    multinomial_nll_backward<T>(grad.data(), lse.data(), z.view(), x, expected.view(), context(1));
    under_schedules([&] {
      const Device device(0);
      const cuda::DeviceCsr<T> there = device_csr(data, n, valued);
      cuda::multinomial_nll<T>(z.view(), there, loss_there.data(), lse_there.data(), device.context());
      cuda::multinomial_nll_backward<T>(grad.data(), lse.data(), z.view(), there, dz.view(), device.context());
      CHECK(dz.intact(), "written between rows");
      for (int64_t u = 0; u < batch; ++u) {
        const auto at = static_cast<std::size_t>(u);
        CHECK(near(loss[at], loss_there[at], 1 + std::abs(double(loss[at]))), "loss %d", static_cast<int>(u));
        CHECK(lse[at] == lse_there[at] || near(lse[at], lse_there[at], 8), "lse %d", static_cast<int>(u));
        for (int64_t i = 0; i < n; ++i)
          CHECK(near(expected(u, i), dz(u, i), 1 + double(x.indptr[u + 1] - x.indptr[u])), "(%d, %d)",
                static_cast<int>(u), static_cast<int>(i));
      }
    });
  }
}

/// Scores whose exponentials without the shift are zero, where some threads of a block have no score, or none but -inf.
template <class T>
void check_low_scores(int64_t n) {
  constexpr int64_t kBatch = 2;
  const T low = sizeof(T) == 4 ? T(-100) : T(-800);
  Matrix<T> z(kBatch, n);
  for (int64_t i = 0; i < n; ++i) z(0, i) = low, z(1, i) = i % 256 == 3 ? -std::numeric_limits<T>::infinity() : low;
  Random random(3);
  const Csr<T> data = interactions<T>(kBatch, 3, 0.9, random);
  std::vector<T> loss(kBatch), lse(kBatch), loss_there(kBatch), lse_there(kBatch);
  const CsrView<T> x{kBatch, n, data.indptr.data(), data.indices.data(), nullptr};
  multinomial_nll<T>(z.view(), x, loss.data(), lse.data(), context(1));
  const Device device(0);
  cuda::multinomial_nll<T>(z.view(), device_csr(data, n, false), loss_there.data(), lse_there.data(), device.context());
  for (std::size_t u = 0; u < kBatch; ++u) {
    CHECK(near(loss[u], loss_there[u], 1 + std::abs(double(low))), "loss of low scores, %d", static_cast<int>(u));
    CHECK(near(lse[u], lse_there[u], std::abs(double(low))), "lse of low scores, %d", static_cast<int>(u));
  }
}

/// X W, whose sums have the same order on both sides.
template <class T>
void check_layer(int64_t batch, int64_t n, int64_t hidden) {
  Random random(static_cast<std::uint64_t>(batch * 31 + n + hidden));
  const Csr<T> data = interactions<T>(batch, n, 0.1, random);
  Matrix<T> w(n, hidden, 1), y(batch, hidden), there(batch, hidden, 2);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < hidden; ++j) w(i, j) = static_cast<T>(random());
  const CsrView<T> x{batch, n, data.indptr.data(), data.indices.data(), data.values.data()};
  sparse_linear<T>(x, w.view(), nullptr, y.view(), context(1));
  under_schedules([&] {
    const Device device(0);
    cuda::score<T>(device_csr(data, n, true), w.view(), there.view(), device.context());
    CHECK(there.intact(), "written between rows");
    for (int64_t u = 0; u < batch; ++u)
      for (int64_t j = 0; j < hidden; ++j)
        CHECK(near(y(u, j), there(u, j), static_cast<double>(n)), "(%d, %d)", static_cast<int>(u), static_cast<int>(j));
  });
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  for (const std::int64_t n : {1, 255, 256, 300, 2049}) {
    check_multinomial<float>(6, n);
    check_multinomial<double>(6, n);
  }
  check_multinomial<float>(0, 5);
  for (const std::int64_t n : {30, 700}) {
    check_low_scores<float>(n);
    check_low_scores<double>(n);
  }
  check_layer<float>(20, 60, 40);
  check_layer<double>(20, 60, 600);
  return report_emulated("multinomial");
}
