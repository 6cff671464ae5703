// The way to cuBLAS: symbols, order of arguments, leading dimensions and handles, with a library that stands for it
// (stand_in_cublas.cpp); and the emulated inverse by its products, on tensor cores too, which it does not have.
#include <dlfcn.h>

#include <thread>
#include <vector>

#include "emulated.hpp"
#include "fastlae/cuda/product.hpp"
#include "fastlae/cuda/spd_inverse.hpp"

namespace fastlae::test {

template <class T>
void check_product(int64_t m, int64_t k, int64_t n, bool transpose_a, bool transpose_b, void* stream = nullptr) {
  Random random(3);
  Matrix<T> a(transpose_a ? k : m, transpose_a ? m : k, 1), b(transpose_b ? n : k, transpose_b ? k : n, 2);
  Matrix<T> c(m, n, 3);
  for (auto* matrix : {&a, &b})
    for (int64_t i = 0; i < matrix->view().rows; ++i)
      for (int64_t j = 0; j < matrix->view().cols; ++j) (*matrix)(i, j) = static_cast<T>(random());
  const Device device(0);
  cuda::DeviceContext context = device.context();
  context.stream = stream;
  cuda::product<T>({a.view(), transpose_a}, {b.view(), transpose_b}, c.view(), context);
  CHECK(c.intact(), "written between rows");
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t d = 0; d < k; ++d)
        sum += double(transpose_a ? a(d, i) : a(i, d)) * double(transpose_b ? b(j, d) : b(d, j));
      CHECK(std::abs(sum - double(c(i, j))) <= 1e-5, "(%d, %d)", static_cast<int>(i), static_cast<int>(j));
    }
}

template <class T>
void check_inverse(int64_t n, int64_t tile, cuda::Precision precision) {
  Random random(5);
  Matrix<T> a(n, n, 1), c(n, n, 2);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j <= i; ++j)
      c(i, j) = c(j, i) = a(i, j) = a(j, i) = static_cast<T>(random() + (i == j ? n : 0));
  const Device device(cuda::spd_inverse_workspace(n, tile, sizeof(T), precision));
  std::int32_t info = 7;
  cuda::spd_inverse<T>(c.view(), tile, &info, precision, device.context());
  CHECK(info == -1, "info %d", info);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = i == j ? -1 : 0;
      for (int64_t d = 0; d < n; ++d) sum += double(a(i, d)) * double(c(d, j));
      CHECK(std::abs(sum) <= 1e-4, "(%d, %d) of order %d: %g", static_cast<int>(i), static_cast<int>(j),
            static_cast<int>(n), sum);
    }
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae;
  using namespace fastlae::test;
  CHECK(!cuda::load_cublas("/nowhere/libcublas.so").empty() || cuda::cublas_version() > 0, "a reason was expected");
  if (cuda::cublas_version() > 0) {
    std::printf("skipped: there is a real cuBLAS, which needs a device\n");
    return 77;
  }
  const std::string problem = cuda::load_cublas(FASTLAE_STAND_IN_CUBLAS);
  CHECK(problem.empty(), "%s", problem.c_str());
  CHECK(cuda::cublas_version() == 130102, "version %d", cuda::cublas_version());
  for (const bool transpose_a : {false, true})
    for (const bool transpose_b : {false, true}) {
      check_product<float>(6, 7, 5, transpose_a, transpose_b);
      check_product<double>(1, 9, 1, transpose_a, transpose_b);
      check_product<double>(4, 1, 3, transpose_a, transpose_b);
    }
  check_product<float>(4, 0, 4, false, false);
  for (const auto precision : {cuda::Precision::kFull, cuda::Precision::kTf32x3})
    check_inverse<float>(150, 32, precision);
  check_inverse<double>(70, 32, cuda::Precision::kFull);

  void* const library = dlopen(FASTLAE_STAND_IN_CUBLAS, RTLD_NOW | RTLD_NOLOAD);
  const auto handles = reinterpret_cast<int (*)()>(dlsym(library, "stand_in_handles"));
  CHECK(handles() == 1, "%d handles for one stream", handles());
  for (int t = 0; t < 3; ++t)
    std::thread([] { check_product<float>(3, 4, 5, false, true); }).join();  // a thread's handle serves the next one
  CHECK(handles() == 1, "%d handles for one stream", handles());
  char streams[40];
  for (char& stream : streams) check_product<float>(2, 3, 4, false, false, &stream);
  check_product<float>(2, 3, 4, false, false, &streams[39]);
  const auto destroyed = reinterpret_cast<int (*)()>(dlsym(library, "stand_in_destroyed"));
  CHECK(handles() == 41 && destroyed() == 9, "%d handles, %d destroyed", handles(), destroyed());
  return report_emulated("the way to cuBLAS");
}
