// As much of cuBLAS as csrc/cuda/cublas.cpp calls, on the host: it refuses what the real one refuses, and multiplies by
// three loops. What it has been asked for is counted.
#include <algorithm>
#include <cstdint>

namespace {

struct Handle {
  void* stream = nullptr;
  int math = 0;
};
int handles = 0, destroyed = 0;

template <class T>
int gemm(void* handle, int op_a, int op_b, std::int64_t m, std::int64_t n, std::int64_t k, const T* alpha, const T* a,
         std::int64_t lda, const T* b, std::int64_t ldb, const T* beta, T* c, std::int64_t ldc) {
  constexpr int kNotInitialized = 1, kInvalidValue = 7;
  if (!handle) return kNotInitialized;
  const auto least = [](std::int64_t rows) { return std::max<std::int64_t>(1, rows); };
  if (m < 0 || n < 0 || k < 0 || op_a < 0 || op_a > 1 || op_b < 0 || op_b > 1) return kInvalidValue;
  if (lda < least(op_a ? k : m) || ldb < least(op_b ? n : k) || ldc < least(m)) return kInvalidValue;
  for (std::int64_t j = 0; j < n; ++j)
    for (std::int64_t i = 0; i < m; ++i) {
      T sum = T(0);
      for (std::int64_t l = 0; l < k; ++l)
        sum += a[op_a ? l + i * lda : i + l * lda] * b[op_b ? j + l * ldb : l + j * ldb];
      T& to = c[i + j * ldc];
      to = *alpha * sum + (*beta == T(0) ? T(0) : *beta * to);
    }
  return 0;
}

}  // namespace

extern "C" {

int cublasCreate_v2(void** handle) {
  *handle = new Handle;
  ++handles;
  return 0;
}
int cublasDestroy_v2(void* handle) {
  delete static_cast<Handle*>(handle);
  ++destroyed;
  return 0;
}
int cublasSetStream_v2(void* handle, void* stream) {
  static_cast<Handle*>(handle)->stream = stream;
  return 0;
}
int cublasSetMathMode(void* handle, int mode) {
  static_cast<Handle*>(handle)->math = mode;
  return 0;
}
int cublasGetProperty(int which, int* value) {
  *value = which == 0 ? 13 : which;
  return 0;
}
int cublasSgemm_v2_64(void* handle, int op_a, int op_b, std::int64_t m, std::int64_t n, std::int64_t k,
                      const float* alpha, const float* a, std::int64_t lda, const float* b, std::int64_t ldb,
                      const float* beta, float* c, std::int64_t ldc) {
  return gemm(handle, op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
int cublasDgemm_v2_64(void* handle, int op_a, int op_b, std::int64_t m, std::int64_t n, std::int64_t k,
                      const double* alpha, const double* a, std::int64_t lda, const double* b, std::int64_t ldb,
                      const double* beta, double* c, std::int64_t ldc) {
  return gemm(handle, op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
/// How many handles were made.
int stand_in_handles() {
  return handles;
}
int stand_in_destroyed() {
  return destroyed;
}

}  // extern "C"
