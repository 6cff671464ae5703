// The emulated kernels of csrc/cuda/swish_norm.cu against the CPU's.
#include <vector>

#include "emulated.hpp"
#include "fastlae/cuda/swish_norm.hpp"
#include "fastlae/swish_norm.hpp"

namespace fastlae::test {

/// All that the two passes give.
template <class T>
struct Outcome {
  Matrix<T> y, total, dx, dresidual;
  std::vector<T> mean, scale, dweight, dbias, dlayer_bias;

  Outcome(int64_t rows, int64_t n, bool totalled)
      : y(rows, n, 1),
        total(totalled ? rows : 0, n),
        dx(rows, n, 2),
        dresidual(totalled ? rows : 0, n, 1),
        mean(static_cast<std::size_t>(rows)),
        scale(mean),
        dweight(static_cast<std::size_t>(n)),
        dbias(dweight),
        dlayer_bias(dweight) {}
};

template <class T>
void near(T found, T expected, double size, const char* what) {
  CHECK(std::abs(double(found) - double(expected)) <= 256 * double(std::numeric_limits<T>::epsilon()) * size,
        "%s: %.9g, expected %.9g", what, double(found), double(expected));
}

template <class T>
void check(int64_t rows, int64_t n, bool connected, bool totalled) {
  const bool biased = connected != totalled;
  constexpr double eps = 0.1;
  Random random(static_cast<std::uint64_t>(rows * 1000 + n));
  Matrix<T> x(rows, n, 3), residual(connected ? rows : 0, n, 1), dy(rows, n, 2), dtotal(totalled ? rows : 0, n);
  std::vector<T> weight, bias, layer_bias;
  for (int64_t j = 0; j < n; ++j) {
    for (auto* v : {&weight, &bias, &layer_bias}) v->push_back(static_cast<T>(random()));
    for (int64_t u = 0; u < rows; ++u) {
      x(u, j) = static_cast<T>(j % 7 == 0 ? 200 * random() : 4 * random());  // far out, too, where exp would overflow
      dy(u, j) = static_cast<T>(random());
      if (connected) residual(u, j) = static_cast<T>(random());
      if (totalled) dtotal(u, j) = static_cast<T>(random());
    }
  }
  const T* const added = biased ? layer_bias.data() : nullptr;
  Outcome<T> cpu(rows, n, totalled), there(rows, n, totalled);
  const auto to_layer = [&](Outcome<T>& o) { return biased ? o.dlayer_bias.data() : nullptr; };
  swish_norm<T>(x.view(), added, residual.view(), weight.data(), bias.data(), eps, cpu.y.view(), cpu.total.view(),
                cpu.mean.data(), cpu.scale.data(), context(1));
  swish_norm_backward<T>(dy.view(), dtotal.view(), x.view(), added, residual.view(), weight.data(), cpu.mean.data(),
                         cpu.scale.data(), cpu.dx.view(), cpu.dresidual.view(), cpu.dweight.data(), cpu.dbias.data(),
                         to_layer(cpu), context(1));
  under_schedules([&] {
    const Device device(0);
    cuda::swish_norm<T>(x.view(), added, residual.view(), weight.data(), bias.data(), eps, there.y.view(),
                        there.total.view(), there.mean.data(), there.scale.data(), device.context());
    cuda::swish_norm_backward<T>(dy.view(), dtotal.view(), x.view(), added, residual.view(), weight.data(),
                                 there.mean.data(), there.scale.data(), there.dx.view(), there.dresidual.view(),
                                 there.dweight.data(), there.dbias.data(), to_layer(there), device.context());
    CHECK(there.y.intact() && there.dx.intact() && there.dresidual.intact(), "written between rows");
    for (int64_t u = 0; u < rows; ++u) {
      const auto at = static_cast<std::size_t>(u);
      near(there.mean[at], cpu.mean[at], 1 + std::abs(double(cpu.mean[at])), "mean");
      near(there.scale[at], cpu.scale[at], 1, "scale");
      for (int64_t j = 0; j < n; ++j) {
        near(there.y(u, j), cpu.y(u, j), 1 + std::abs(double(cpu.y(u, j))), "y");
        near(there.dx(u, j), cpu.dx(u, j), 8, "dx");
        if (!totalled) continue;
        near(there.total(u, j), cpu.total(u, j), 1 + std::abs(double(cpu.total(u, j))), "total");
        near(there.dresidual(u, j), cpu.dresidual(u, j), 8, "dresidual");
      }
    }
    for (std::size_t j = 0; j < weight.size(); ++j) {
      near(there.dweight[j], cpu.dweight[j], double(rows + 1), "dweight");
      near(there.dbias[j], cpu.dbias[j], double(rows + 1), "dbias");
      if (biased) near(there.dlayer_bias[j], cpu.dlayer_bias[j], double(8 * (rows + 1)), "dlayer_bias");
    }
  });
}

/// What layer norm cannot hold is NaN, not a row of zeros.
template <class T>
void check_overflow() {
  Matrix<T> x(1, 5), none(0, 5), y(1, 5);
  std::vector<T> ones(5, T(1)), mean(1), scale(1);
  for (int64_t j = 0; j < 5; ++j) x(0, j) = j == 0 ? std::sqrt(std::numeric_limits<T>::max()) * T(4) : T(1);
  cuda::swish_norm<T>(x.view(), nullptr, none.view(), ones.data(), ones.data(), 0.1, y.view(), none.view(), mean.data(),
                      scale.data(), Device(0).context());
  CHECK(std::isnan(y(0, 1)), "%g", double(y(0, 1)));
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  for (const std::int64_t n : {1, 31, 128, 300})
    for (const bool connected : {false, true})
      for (const bool totalled : {false, true}) {
        check<float>(7, n, connected, totalled);
        check<double>(40, n, connected, totalled);
      }
  check<float>(0, 5, true, true);
  check_overflow<float>();
  check_overflow<double>();
  return report_emulated("swish_norm");
}
