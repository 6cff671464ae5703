// General dense products for the kernels of this folder.
#pragma once

#include <cstdint>

#include "fastlae/cuda/device.hpp"

namespace fastlae::cuda {

/// C <- alpha op(A) op(B) + beta C, all row-major, op(A) of shape (m, k), op(B) of shape (k, n); with beta = 0, C is
/// not read. `tf32` lets cuBLAS round float operands to TF32 for tensor cores (own kernels never do).
template <class T>
void gemm(const DeviceContext& context, bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n,
          std::int64_t k, T alpha, const T* a, std::int64_t a_stride, const T* b, std::int64_t b_stride, T beta, T* c,
          std::int64_t c_stride, bool tf32 = false);

}  // namespace fastlae::cuda
