#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "cublas.hpp"
#include "factor.cuh"
#include "fastlae/cuda/spd_inverse.hpp"
#include "gemm.hpp"
#include "launch.cuh"
#include "mirror.cuh"

namespace fastlae::cuda {

namespace {

using std::int32_t;
using std::int64_t;

constexpr int64_t kStripTiles = 2;  // columns of one large product, in tiles: what lies above the diagonal is waste
constexpr int kThreads = 256;

/// to <- from, block by block of rows; with `from` null, to <- 0.
template <class T>
__global__ void copy_kernel(const T* from, int64_t from_stride, T* to, int64_t to_stride, int64_t rows, int64_t cols) {
  const int64_t j = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (j >= cols) return;
  for (int64_t i = blockIdx.y; i < rows; i += gridDim.y)
    to[i * to_stride + j] = from ? from[i * from_stride + j] : T(0);
}

template <class T>
void copy(const T* from, int64_t from_stride, T* to, int64_t to_stride, int64_t rows, int64_t cols,
          const DeviceContext& context) {
  if (rows > 0 && cols > 0)
    launch(copy_kernel<T>, dim3(static_cast<unsigned>(blocks_for(cols, kThreads)), grid_size(rows)), kThreads, 0,
           context, from, from_stride, to, to_stride, rows, cols);
}

/// The ten bits of mantissa that TF32 has, rounded to nearest; what is not finite stays.
__device__ __forceinline__ float to_tf32(float x) {
  if (!(x - x == 0.0f)) return x;
  union {
    float number;
    std::uint32_t bits;
  } rounded;
  rounded.number = x;
  rounded.bits = (rounded.bits + 0x1000u) & 0xffffe000u;
  return rounded.number;
}

/// Every row of the panel as [H, H, L, H], H + L being the row but for what L loses: the first three against the last
/// three are H H^T + H L^T + L H^T in one product.
__global__ void split_kernel(const float* panel, int64_t rows, int64_t depth, float* to) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; at < rows * depth; at += step) {
    const float number = panel[at], high = to_tf32(number), low = to_tf32(number - high);
    float* const row = to + at / depth * 4 * depth + at % depth;
    row[0] = row[depth] = row[3 * depth] = high;
    row[2 * depth] = low;
  }
}

template <class T>
class Sweep {
 public:
  Sweep(MatrixView<T> a, int64_t tile, int32_t* info, Precision precision, const DeviceContext& context)
      : a_(a), tile_(tile), info_(info), split_(precision == Precision::kTf32x3), context_(context) {
    Arena arena(context);
    panel_ = arena.take<T>(a.rows * tile);
    inverse_ = arena.take<T>(tile * tile);
    scratch_ = arena.take<T>(tile * tile);
    if (split_) halves_ = arena.take<T>(4 * a.rows * tile);
  }

  void run() {
    for (int64_t begin = 0; begin < a_.rows; begin += tile_) step(begin, std::min(tile_, a_.rows - begin));
    mirror(a_, context_);
  }

 private:
  T* at(int64_t i, int64_t j) const { return a_.data + i * a_.stride + j; }

  /// C <- alpha op(A) op(B) + beta C where C, A and B lie in the matrix, the panel or a tile.
  void multiply(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, T alpha, const T* a,
                int64_t a_stride, const T* b, int64_t b_stride, T beta, T* c, int64_t c_stride) const {
    gemm<T>(context_, transpose_a, transpose_b, m, n, k, alpha, a, a_stride, b, b_stride, beta, c, c_stride);
  }

  /// Block [first, first + n) of the diagonal <- inverse of its Cholesky factor, by halves:
  ///   [A11    ]      M11 = L11^-1,  L21 = A21 M11^T,  M22 = (A22 - L21 L21^T -> L22)^-1,  M21 = -M22 L21 M11.
  ///   [A21 A22]
  void invert_factor(int64_t first, int64_t n) const {
    T* const a11 = at(first, first);
    const int64_t s = a_.stride;
    constexpr int64_t kOrder = kFactorOrder<T>;
    if (n <= kOrder) {
      launch(invert_factor_kernel<T>, 1, kFactorThreads, 0, context_, a11, s, static_cast<int>(n), first, info_);
      return;
    }
    const int64_t n1 = blocks_for(n / 2, kOrder) * kOrder, n2 = n - n1;
    T *const a21 = at(first + n1, first), *const a22 = at(first + n1, first + n1);
    invert_factor(first, n1);
    multiply(false, true, n2, n1, n1, T(1), a21, s, a11, s, T(0), scratch_, n1);
    copy<T>(scratch_, n1, a21, s, n2, n1, context_);
    multiply(false, true, n2, n2, n1, T(-1), a21, s, a21, s, T(1), a22, s);
    invert_factor(first + n1, n2);
    multiply(false, false, n2, n1, n1, T(1), a21, s, a11, s, T(0), scratch_, n1);
    multiply(false, false, n2, n1, n2, T(-1), a22, s, scratch_, n1, T(0), a21, s);
    copy<T>(nullptr, 0, at(first, first + n1), s, n1, n2, context_);
  }

  /// Tile row k = [begin, begin + size): its panel P, then one product for all the rest of the matrix.
  void step(int64_t begin, int64_t size) {
    const int64_t n = a_.rows, s = a_.stride, end = begin + size, below = n - end;
    invert_factor(begin, size);
    copy<T>(at(begin, begin), s, inverse_, size, size, size, context_);
    T* const p_below = panel_ + end * size;
    // P_r = A_rk M^T below, -S_kr^T M^T before; then these tiles begin their next sums: P_r M and M^T P_r^T.
    multiply(false, true, below, size, size, T(1), at(end, begin), s, inverse_, size, T(0), p_below, size);
    multiply(true, true, begin, size, size, T(-1), at(begin, 0), s, inverse_, size, T(0), panel_, size);
    copy<T>(nullptr, 0, panel_ + begin * size, size, size, size, context_);  // row k of the rest takes no product
    multiply(false, false, below, size, size, T(1), p_below, size, inverse_, size, T(0), at(end, begin), s);
    multiply(true, true, size, begin, size, T(1), inverse_, size, panel_, size, T(0), at(begin, 0), s);
    multiply(true, false, size, size, size, T(1), inverse_, size, inverse_, size, T(0), at(begin, begin), s);
    if (split_) split(size);
    const int64_t strip = kStripTiles * tile_;
    for (int64_t j = 0; j < begin; j += strip) add_products(j, std::min(strip, begin - j), size, T(1));
    for (int64_t j = end; j < n; j += strip) add_products(j, std::min(strip, n - j), size, T(-1));
  }

  /// Columns [j, j + width) of the lower triangle += sign P P^T.
  void add_products(int64_t j, int64_t width, int64_t depth, T sign) {
    const int64_t height = a_.rows - j, stride = split_ ? 4 * depth : depth;
    const T* const left = split_ ? halves_ + j * stride : panel_ + j * stride;
    const T* const right = split_ ? left + depth : left;
    gemm<T>(context_, false, true, height, width, split_ ? 3 * depth : depth, sign, left, stride, right, stride, T(1),
            at(j, j), a_.stride, split_);
  }

  void split(int64_t depth) {
    if constexpr (std::is_same_v<T, float>)
      launch(split_kernel, grid_size(blocks_for(a_.rows * depth, kThreads)), kThreads, 0, context_, panel_, a_.rows,
             depth, halves_);
  }

  MatrixView<T> a_;
  int64_t tile_;
  int32_t* info_;
  bool split_;
  const DeviceContext& context_;
  T* panel_ = nullptr;    // (n, tile of this step)
  T* inverse_ = nullptr;  // M of this step
  T* scratch_ = nullptr;
  T* halves_ = nullptr;  // (n, 4 tile): see split_kernel
};

/// A block compares one 32 x 32 tile on or below the diagonal with the one that it should mirror.
template <class T>
__global__ void asymmetry_kernel(MatrixView<const T> a, unsigned long long* worst) {
  __shared__ T above[kMirrorSide][kMirrorSide + 1];
  if (blockIdx.x > blockIdx.y) return;
  const int64_t i0 = static_cast<int64_t>(blockIdx.y) * kMirrorSide;
  const int64_t j0 = static_cast<int64_t>(blockIdx.x) * kMirrorSide;
  const int x = static_cast<int>(threadIdx.x);
  for (int c = static_cast<int>(threadIdx.y); c < kMirrorSide; c += kMirrorRows)
    if (j0 + c < a.rows && i0 + x < a.rows) above[c][x] = a.data[(j0 + c) * a.stride + i0 + x];
  __syncthreads();
  double most = 0;
  bool finite = true;
  for (int r = static_cast<int>(threadIdx.y); r < kMirrorSide; r += kMirrorRows) {
    const int64_t i = i0 + r, j = j0 + x;
    if (i >= a.rows || j > i) continue;
    const double one = a.data[i * a.stride + j], other = above[x][r];
    finite = finite && one - one == 0 && other - other == 0;
    if (one == other) continue;
    // two roots: the product of the diagonal's entries can overflow, or vanish
    const double scale = sqrt(fabs(static_cast<double>(a.data[i * a.stride + i]))) *
                         sqrt(fabs(static_cast<double>(a.data[j * a.stride + j])));
    const double skew = fabs(one - other) / scale;
    most = skew > most ? skew : most;
  }
  raise_to(worst, most, finite, x);  // a row of threads is a warp
}

}  // namespace

int64_t inverse_tile(int64_t n) {
  return n <= 16384 ? 256 : 512;
}

int64_t spd_inverse_workspace(int64_t n, int64_t tile, int64_t itemsize, Precision precision) {
  const int64_t halves = precision == Precision::kTf32x3 ? aligned(4 * n * tile * itemsize) : 0;
  return aligned(n * tile * itemsize) + halves + 2 * aligned(tile * tile * itemsize);
}

template <class T>
void spd_inverse(MatrixView<T> a, int64_t tile, int32_t* info, Precision precision, const DeviceContext& context) {
  if (precision == Precision::kTf32x3 && !std::is_same_v<T, float>) throw CudaError(0, "tensor cores: float32 only");
  set_bytes(info, 0xff, sizeof(int32_t), context);
  if (a.rows > 0) Sweep<T>(a, tile, info, precision, context).run();
}

template <class T>
void asymmetry(MatrixView<const T> a, double* worst, const DeviceContext& context) {
  set_bytes(worst, 0, sizeof(double), context);
  const auto side = static_cast<unsigned>(blocks_for(a.rows, kMirrorSide));
  if (side > 0)
    launch(asymmetry_kernel<T>, dim3(side, side), dim3(kMirrorSide, kMirrorRows), 0, context, a,
           reinterpret_cast<unsigned long long*>(worst));
}

template void spd_inverse<float>(MatrixView<float>, int64_t, int32_t*, Precision, const DeviceContext&);
template void spd_inverse<double>(MatrixView<double>, int64_t, int32_t*, Precision, const DeviceContext&);
template void asymmetry<float>(MatrixView<const float>, double*, const DeviceContext&);
template void asymmetry<double>(MatrixView<const double>, double*, const DeviceContext&);

}  // namespace fastlae::cuda
