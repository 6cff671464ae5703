// What a row of a least-squares problem needs of vectors. `dim` is a multiple of kAlsLine / sizeof(T) everywhere.
#pragma once

#include <cstdint>

namespace fastlae::simd {

constexpr std::int64_t kAlsLine = 64;  // bytes: rows of factors are filled up with zeros to whole lines

template <class T>
struct AlsKernel {
  /// y += sum_k w_k (f_k . p) f_k, with f_k = fixed[columns[k] * stride]; null weights are all `weight`.
  void (*add_outer)(std::int64_t count, const std::int32_t* columns, const T* weights, T weight, const T* fixed,
                    std::int64_t stride, std::int64_t dim, const T* p, T* y);
  /// y += sum_k t_k f_k; null targets are weights + offset.
  void (*add_targets)(std::int64_t count, const std::int32_t* columns, const T* targets, const T* weights, T weight,
                      T offset, const T* fixed, std::int64_t stride, std::int64_t dim, T* y);
  T (*dot)(std::int64_t dim, const T* a, const T* b);
  /// y = a x + b y.
  void (*axpby)(std::int64_t dim, T a, const T* x, T b, T* y);
  /// Solves A x = b in place by Cholesky's factorisation of A (its lower triangle; overwritten); the first row whose
  /// pivot is not positive, or -1.
  std::int64_t (*solve)(std::int64_t dim, T* a, std::int64_t stride, T* b);
};

template <class T>
const AlsKernel<T>& als_kernel();

}  // namespace fastlae::simd
