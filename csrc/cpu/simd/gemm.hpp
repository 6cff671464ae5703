// A single-threaded matrix product: packed panels, a register tile, nothing else.
//
// Layout of the computation (Goto and van de Geijn 2008): a panel of B (depth x n) and a block of A (rows x depth) are
// copied so that the register tile (MR x NR) reads both front to back; C is touched once per depth. A kernel whose
// operands serve many products packs them once and shares them among its threads.
#pragma once

#include <cstdint>

namespace fastlae::simd {

/// What a product may skip: entries of C above its diagonal (they may be left as they are), and the zeros of a
/// factor: op(A)[i, l] with l > i (lower) or l < i (upper), op(B)[l, j] with l < j (lower) or l > j (upper).
enum GemmShape : int { kFull = 0, kLowerC = 1, kLowerA = 2, kUpperA = 4, kLowerB = 8, kUpperB = 16 };

/// Where a product of packed panels lies inside a larger one: what GemmShape counts rows, columns and depth from.
struct Corner {
  std::int64_t row = 0, col = 0, depth = 0;
};

/// The product of one instruction set and its parts.
template <class T>
struct GemmKernel {
  int a_lines, b_lines;  // lines (rows of A, columns of B) of a packed panel: the register tile

  /// `count` lines of `depth` elements into panels of a_lines (b_lines) interleaved lines, the last one filled up with
  /// zeros. Element k of line l is src[l * line_stride + k * depth_stride]; one of the strides is 1.
  using Pack = void (*)(std::int64_t count, std::int64_t depth, const T* src, std::int64_t line_stride,
                        std::int64_t depth_stride, T* out);
  Pack pack_a, pack_b;

  /// C = alpha A B + beta C from packed panels: A m x depth, B depth x n.
  void (*multiply_packed)(std::int64_t m, std::int64_t n, std::int64_t depth, const T* packed_a, const T* packed_b,
                          T alpha, T beta, T* c, std::int64_t stride_c, int shape, Corner first);

  /// C = alpha op(A) op(B) + beta C on row-major matrices, op(A) m x k, op(B) k x n. `shape` is a sum of GemmShape
  /// values. Keeps scratch memory per thread (1.5 MB).
  void (*gemm)(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, T alpha, const T* a,
               std::int64_t stride_a, const T* b, std::int64_t stride_b, T beta, T* c, std::int64_t stride_c,
               int shape);
};

/// The product for the active instruction set.
template <class T>
const GemmKernel<T>& gemm_kernel();

}  // namespace fastlae::simd
