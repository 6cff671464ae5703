// What every kernel is given beside its data: threads, a matrix product, and a hook between blocks.
#pragma once

#include <cstdint>
#include <functional>

namespace fastlae {

/// What a product may skip: entries of C above its diagonal (they may be left as they are), and the zeros of a
/// factor: op(A)[i, l] with l > i (lower) or l < i (upper), op(B)[l, j] with l < j (lower) or l > j (upper).
enum GemmShape : int { kFull = 0, kLowerC = 1, kLowerA = 2, kUpperA = 4, kLowerB = 8, kUpperB = 16 };

/// Single-threaded C = alpha op(A) op(B) + beta C on row-major matrices, op(A) m x k, op(B) k x n. `shape` is a sum of
/// GemmShape values.
template <class T>
using Gemm = void (*)(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, T alpha,
                      const T* a, std::int64_t stride_a, const T* b, std::int64_t stride_b, T beta, T* c,
                      std::int64_t stride_c, int shape);

struct Context {
  int num_threads = 1;
  Gemm<float> gemm_float = nullptr;
  Gemm<double> gemm_double = nullptr;
  // Called now and then by the calling thread with the share of the work done; true asks the kernel to stop.
  std::function<bool(double)> poll;

  template <class T>
  Gemm<T> gemm() const;
};

template <>
inline Gemm<float> Context::gemm<float>() const {
  return gemm_float;
}
template <>
inline Gemm<double> Context::gemm<double>() const {
  return gemm_double;
}

}  // namespace fastlae
