// cuBLAS through dlopen: no header or library of it is needed to build, and none to run.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "fastlae/cuda/device.hpp"

namespace fastlae::cuda {

class Cublas {
 public:
  static Cublas& instance();

  /// See `load_cublas` in fastlae/cuda/product.hpp.
  std::string load(const std::string& path);
  bool loaded() const { return library_ != nullptr; }
  int version() const;

  /// As `gemm` in gemm.hpp, by the library's own conventions: column-major.
  void gemm(const DeviceContext& context, bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n,
            std::int64_t k, float alpha, const float* a, std::int64_t lda, const float* b, std::int64_t ldb, float beta,
            float* c, std::int64_t ldc, bool tf32);
  void gemm(const DeviceContext& context, bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n,
            std::int64_t k, double alpha, const double* a, std::int64_t lda, const double* b, std::int64_t ldb,
            double beta, double* c, std::int64_t ldc, bool tf32);

 private:
  // Prototypes as NVIDIA documents them; enumerations are ints there.
  using Handle = void*;
  template <class T>
  using Gemm = int (*)(Handle, int, int, std::int64_t, std::int64_t, std::int64_t, const T*, const T*, std::int64_t,
                       const T*, std::int64_t, const T*, T*, std::int64_t);

  struct Kept {
    int device;
    void* stream;
    Handle handle;
  };
  /// A handle for the length of a call.
  class Lease;
  Handle take(int device, void* stream);  // null if none is kept
  void give_back(const Kept& own);

  void* library_ = nullptr;
  std::mutex mutex_;
  std::vector<Kept> kept_;  // the one that was used last is the last
  int (*create_)(Handle*) = nullptr;
  int (*destroy_)(Handle) = nullptr;
  int (*set_stream_)(Handle, void*) = nullptr;
  int (*set_math_mode_)(Handle, int) = nullptr;
  int (*get_property_)(int, int*) = nullptr;
  Gemm<float> sgemm_ = nullptr;
  Gemm<double> dgemm_ = nullptr;
};

}  // namespace fastlae::cuda
