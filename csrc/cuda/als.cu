// Rows go by thousands. Of a step of conjugate gradients the dense part is one matrix product for all of them; what the
// entries add, a block of threads makes for its row: a warp takes an entry, and adds to a vector of its own in shared
// memory. By Cholesky, blocks make tiles of the rows' matrices, and then one block factors and solves each.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "fastlae/cuda/als.hpp"
#include "gemm.hpp"
#include "rows.cuh"

namespace fastlae::cuda {

namespace {

using std::int32_t;
using std::int64_t;

constexpr int kThreads = 256, kWarps = kThreads / kWarpSize;
constexpr int kBlocks = 3;                        // of a multiprocessor, so many at least; left to itself, ptxas spills
constexpr int kTogether = 4;                      // entries of a warp, so that one is read while another is waited for
constexpr int64_t kRowsAtWork = 32768;            // of conjugate gradients
constexpr int64_t kMatrixBytes = 256 << 20;       // of matrices, where that is at least one
constexpr int kSide = 64, kSlice = 16, kOwn = 4;  // of a tile of a matrix: 16 x 16 threads, each with 4 x 4 of it

template <class T>
struct Problem {
  AlsTerm<T> terms[kMostAlsTerms];
  int count;
  const T* ridge;
  MatrixView<const T> prior;
  MatrixView<T> p;

  __device__ __forceinline__ bool empty(int64_t r) const {
    if (prior.rows > 0) return false;
    for (int t = 0; t < count; ++t)
      if (terms[t].x.indptr[r] < terms[t].x.indptr[r + 1]) return false;
    return true;
  }
  __device__ __forceinline__ T weight(const AlsTerm<T>& term, int64_t k) const {
    return term.x.values ? term.x.values[k] : term.weight;
  }
  __device__ __forceinline__ T target(const AlsTerm<T>& term, int64_t k) const {
    return term.targets ? term.targets[k] : weight(term, k) + term.offset;
  }
};

/// Vectors of a row in shared memory: one that the entries are multiplied with, and a sum for every warp.
template <class T>
struct Shared {
  T *x, *sums;
  static int64_t bytes(int64_t dim) { return (1 + kWarps) * dim * static_cast<int64_t>(sizeof(T)); }
};

template <class T>
__device__ __forceinline__ T warp_sum(T value) {
  for (int mask = kWarpSize / 2; mask > 0; mask /= 2) value += __shfl_xor_sync(kFullMask, value, mask);
  return value;
}

/// The warps' sums <- sum_k t_k f_k, or, with `product`, sum_k w_k (f_k . x) f_k. All threads of the block; each lane
/// has its own elements of the sum of its warp.
template <class T>
__device__ void add_entries(const Problem<T>& problem, int64_t r, bool product, const Shared<T>& shared, int64_t dim) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize, warp = static_cast<int>(threadIdx.x) / kWarpSize;
  T* const sum = shared.sums + warp * dim;
  for (int64_t j = lane; j < dim; j += kWarpSize) sum[j] = T(0);
  for (int t = 0; t < problem.count; ++t) {
    const AlsTerm<T>& term = problem.terms[t];
    const int64_t end = term.x.indptr[r + 1];
    for (int64_t k = term.x.indptr[r] + warp; k < end; k += kWarps * kTogether) {
      const T* f[kTogether];
      T factor[kTogether];
      FASTLAE_UNROLL
      for (int q = 0; q < kTogether; ++q) {
        const int64_t at = k + q * kWarps;  // past the end, an entry again, by a factor of 0
        f[q] = term.fixed.data + term.x.indices[at < end ? at : k] * term.fixed.stride;
        factor[q] = T(0);
      }
      if (product)
        for (int64_t j = lane; j < dim; j += kWarpSize) {
          const T x = shared.x[j];
          FASTLAE_UNROLL
          for (int q = 0; q < kTogether; ++q) factor[q] += f[q][j] * x;
        }
      FASTLAE_UNROLL
      for (int q = 0; q < kTogether; ++q) {
        const int64_t at = k + q * kWarps;
        const T whole = product ? warp_sum(factor[q]) : T(1);
        factor[q] = at < end ? whole * (product ? problem.weight(term, at) : problem.target(term, at)) : T(0);
      }
      for (int64_t j = lane; j < dim; j += kWarpSize) {
        T total = sum[j];
        FASTLAE_UNROLL
        for (int q = 0; q < kTogether; ++q) total += factor[q] * f[q][j];
        sum[j] = total;
      }
    }
  }
  __syncthreads();
}

template <class T>
__device__ __forceinline__ T sum_of_warps(const Shared<T>& shared, int64_t j, int64_t dim) {
  T total = T(0);
  for (int w = 0; w < kWarps; ++w) total += shared.sums[w * dim + j];
  return total;
}

/// What a block of rows holds between the kernels of conjugate gradients.
template <class T>
struct Search {
  T *residual, *direction, *image;  // (rows at work, dim)
  double* squares;                  // (rows at work) of the residual; 0: the row is done
};

/// residual <- b, and P[r] <- 0 where nothing is known of the row.
template <class T>
__global__ void __launch_bounds__(kThreads, kBlocks)
    right_side_kernel(Problem<T> problem, int64_t first, T* b, bool begin) {
  FASTLAE_DYNAMIC_SHARED(T, memory);
  const int64_t r = first + blockIdx.x, dim = problem.p.cols;
  const Shared<T> shared{memory, memory + dim};
  add_entries(problem, r, false, shared, dim);
  const bool empty = problem.empty(r);
  for (int64_t j = threadIdx.x; j < dim; j += kThreads) {
    const T start = problem.prior.rows > 0 ? problem.prior.data[r * problem.prior.stride + j] : T(0);
    b[blockIdx.x * dim + j] = start + sum_of_warps(shared, j, dim);
    if (begin && empty) problem.p.data[r * problem.p.stride + j] = T(0);
  }
}

/// With `image` = x shared: a step along `direction`, x being it; before the first, x is P[r], and only the residual
/// is made.
template <class T>
__global__ void __launch_bounds__(kThreads, kBlocks)
    step_kernel(Problem<T> problem, int64_t first, Search<T> search, bool begin) {
  FASTLAE_DYNAMIC_SHARED(T, memory);
  __shared__ double reduced[kThreads];
  const int64_t r = first + blockIdx.x, dim = problem.p.cols, at = blockIdx.x * dim;
  const Shared<T> shared{memory, memory + dim};
  const double before = begin ? 0.0 : search.squares[blockIdx.x];
  if (!begin && !(before > 0)) return;  // the same for all threads
  T* const p = problem.p.data + r * problem.p.stride;
  T *const residual = search.residual + at, *const direction = search.direction + at, *const image = search.image + at;
  const T* const from = begin ? p : direction;
  for (int64_t j = threadIdx.x; j < dim; j += kThreads) shared.x[j] = from[j];
  __syncthreads();
  add_entries(problem, r, true, shared, dim);
  const T ridge = problem.ridge[r];
  double curvature = 0;
  for (int64_t j = threadIdx.x; j < dim; j += kThreads) {
    const T now = image[j] + ridge * shared.x[j] + sum_of_warps(shared, j, dim);
    image[j] = now;
    curvature += static_cast<double>(shared.x[j]) * static_cast<double>(now);
  }
  T length = T(-1);
  if (!begin) {
    curvature = block_sum<kThreads>(curvature, reduced);
    if (!(curvature > 0)) {  // the residual is rounding
      if (threadIdx.x == 0) search.squares[blockIdx.x] = 0;
      return;
    }
    length = static_cast<T>(before / curvature);
  }
  double squares = 0;
  for (int64_t j = threadIdx.x; j < dim; j += kThreads) {
    if (!begin) p[j] += length * shared.x[j];
    const T rest = begin ? residual[j] - image[j] : residual[j] - length * image[j];
    residual[j] = rest;
    squares += static_cast<double>(rest) * static_cast<double>(rest);
  }
  squares = block_sum<kThreads>(squares, reduced);
  const T keep = begin ? T(0) : static_cast<T>(squares / before);
  for (int64_t j = threadIdx.x; j < dim; j += kThreads)
    direction[j] = begin ? residual[j] : residual[j] + keep * shared.x[j];
  if (threadIdx.x == 0) search.squares[blockIdx.x] = squares;
}

/// Tile (blockIdx.y, blockIdx.z) of the lower triangle of row blockIdx.x's matrix, packed by rows: shared, the ridge,
/// and the entries' outer products, by slices of them.
template <class T>
__global__ void __launch_bounds__(kThreads, kBlocks)
    matrix_kernel(Problem<T> problem, MatrixView<const T> shared, int64_t first, T* matrices) {
  __shared__ T left[kSlice][kSide + 1], right[kSlice][kSide + 1];
  if (blockIdx.z > blockIdx.y) return;
  const int64_t r = first + blockIdx.x, dim = problem.p.cols;
  if (problem.empty(r)) return;
  const int64_t i0 = static_cast<int64_t>(blockIdx.y) * kSide, j0 = static_cast<int64_t>(blockIdx.z) * kSide;
  const int row = static_cast<int>(threadIdx.x) / kSlice, column = static_cast<int>(threadIdx.x) % kSlice;
  T sums[kOwn][kOwn] = {};
  for (int t = 0; t < problem.count; ++t) {
    const AlsTerm<T>& term = problem.terms[t];
    for (int64_t begin = term.x.indptr[r]; begin < term.x.indptr[r + 1]; begin += kSlice) {
      const int64_t here = smaller<int64_t>(kSlice, term.x.indptr[r + 1] - begin);
      for (int at = static_cast<int>(threadIdx.x); at < kSlice * kSide; at += kThreads) {
        const int d = at / kSide, l = at % kSide;
        const T* const f = d < here ? term.fixed.data + term.x.indices[begin + d] * term.fixed.stride : nullptr;
        left[d][l] = f && i0 + l < dim ? problem.weight(term, begin + d) * f[i0 + l] : T(0);
        right[d][l] = f && j0 + l < dim ? f[j0 + l] : T(0);
      }
      __syncthreads();
      FASTLAE_UNROLL
      for (int d = 0; d < kSlice; ++d) FASTLAE_UNROLL
      for (int a = 0; a < kOwn; ++a) FASTLAE_UNROLL
      for (int b = 0; b < kOwn; ++b) sums[a][b] += left[d][row + a * kSlice] * right[d][column + b * kSlice];
      __syncthreads();
    }
  }
  T* const to = matrices + blockIdx.x * (dim * (dim + 1) / 2);
  for (int a = 0; a < kOwn; ++a)
    for (int b = 0; b < kOwn; ++b) {
      const int64_t i = i0 + row + a * kSlice, j = j0 + column + b * kSlice;
      if (i >= dim || j > i) continue;
      to[i * (i + 1) / 2 + j] = sums[a][b] + shared.data[i * shared.stride + j] + (i == j ? problem.ridge[r] : T(0));
    }
}

/// P[r] <- the solution for the right side in `b`, by Cholesky's factorisation of the packed matrix, in shared memory
/// if it fits there. Elimination takes b along as a further row; x goes back through the rows of L.
template <class T>
__global__ void __launch_bounds__(kThreads, kBlocks)
    solve_kernel(Problem<T> problem, int64_t first, T* matrices, const T* b, bool in_shared, int32_t* info) {
  FASTLAE_DYNAMIC_SHARED(T, memory);
  const int64_t r = first + blockIdx.x, dim = problem.p.cols, length = dim * (dim + 1) / 2;
  T* const p = problem.p.data + r * problem.p.stride;
  if (problem.empty(r)) {
    for (int64_t j = threadIdx.x; j < dim; j += kThreads) p[j] = T(0);
    return;
  }
  T *const y = memory, *const column = memory + dim, *const given = matrices + blockIdx.x * length;
  T* const a = in_shared ? column + dim : given;
  if (in_shared)
    for (int64_t at = threadIdx.x; at < length; at += kThreads) a[at] = given[at];
  for (int64_t j = threadIdx.x; j < dim; j += kThreads) y[j] = b[blockIdx.x * dim + j];
  __syncthreads();
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize, warp = static_cast<int>(threadIdx.x) / kWarpSize;
  for (int64_t c = 0; c < dim; ++c) {
    const T pivot = a[c * (c + 1) / 2 + c];
    if (!(pivot > T(0)) || !(pivot - pivot == T(0))) {  // the same for all threads
      if (threadIdx.x == 0) atomicMax(info, static_cast<int32_t>(r));
      return;
    }
    const T scale = T(1) / sqrt(pivot), front = y[c] * scale;
    for (int64_t i = c + threadIdx.x; i < dim; i += kThreads) column[i] = a[i * (i + 1) / 2 + c] * scale;
    __syncthreads();  // everybody has the pivot and y[c]
    for (int64_t i = c + 1 + warp; i < dim; i += kWarps) {
      T* const row = a + i * (i + 1) / 2;
      const T own = column[i];
      for (int64_t j = c + 1 + lane; j <= i; j += kWarpSize) row[j] -= own * column[j];
      if (lane == 0) {
        row[c] = own;
        y[i] -= own * front;
      }
    }
    if (threadIdx.x == 0) {
      a[c * (c + 1) / 2 + c] = column[c];
      y[c] = front;
    }
    __syncthreads();
  }
  for (int64_t c = dim - 1; c >= 0; --c) {
    const T* const row = a + c * (c + 1) / 2;
    const T x = y[c] / row[c];
    for (int64_t j = threadIdx.x; j < c; j += kThreads) y[j] -= row[j] * x;
    if (threadIdx.x == 0) p[c] = x;
    __syncthreads();
  }
}

int64_t rows_at_work(int64_t rows, int64_t dim, int steps, int64_t itemsize) {
  const int64_t most = steps > 0 ? kRowsAtWork : kMatrixBytes / std::max<int64_t>(1, dim * (dim + 1) / 2 * itemsize);
  return std::clamp<int64_t>(most, 1, std::max<int64_t>(1, rows));
}

template <class T>
void by_gradients(const Problem<T>& problem, MatrixView<const T> shared, int steps, const DeviceContext& context) {
  const int64_t dim = problem.p.cols, at_work = rows_at_work(problem.p.rows, dim, steps, sizeof(T));
  Arena arena(context);
  Search<T> search{};
  search.residual = arena.take<T>(at_work * dim);
  search.direction = arena.take<T>(at_work * dim);
  search.image = arena.take<T>(at_work * dim);
  search.squares = arena.take<double>(at_work);
  const auto times_shared = [&](int64_t count, const T* x, int64_t stride) {
    gemm<T>(context, false, false, count, dim, dim, T(1), x, stride, shared.data, shared.stride, T(0), search.image,
            dim);
  };
  for (int64_t first = 0; first < problem.p.rows; first += at_work) {
    const int64_t count = std::min(at_work, problem.p.rows - first);
    const auto blocks = static_cast<unsigned>(count);
    launch(right_side_kernel<T>, blocks, kThreads, Shared<T>::bytes(dim), context, problem, first, search.residual,
           true);
    times_shared(count, problem.p.data + first * problem.p.stride, problem.p.stride);
    launch(step_kernel<T>, blocks, kThreads, Shared<T>::bytes(dim), context, problem, first, search, true);
    for (int step = 0; step < steps; ++step) {
      times_shared(count, search.direction, dim);
      launch(step_kernel<T>, blocks, kThreads, Shared<T>::bytes(dim), context, problem, first, search, false);
    }
  }
}

template <class T>
void by_cholesky(const Problem<T>& problem, MatrixView<const T> shared, int32_t* info, const DeviceContext& context) {
  const int64_t dim = problem.p.cols, at_work = rows_at_work(problem.p.rows, dim, 0, sizeof(T));
  const int64_t length = dim * (dim + 1) / 2, itemsize = sizeof(T);
  Arena arena(context);
  T* const matrices = arena.take<T>(at_work * length);
  T* const b = arena.take<T>(at_work * dim);
  const bool in_shared = (length + 2 * dim) * itemsize <= shared_memory(context.device);
  const int64_t bytes = (2 * dim + (in_shared ? length : 0)) * itemsize;
  const auto side = static_cast<unsigned>(blocks_for(dim, kSide));
  for (int64_t first = 0; first < problem.p.rows; first += at_work) {
    const auto blocks = static_cast<unsigned>(std::min(at_work, problem.p.rows - first));
    launch(right_side_kernel<T>, blocks, kThreads, Shared<T>::bytes(dim), context, problem, first, b, false);
    launch(matrix_kernel<T>, dim3(blocks, side, side), kThreads, 0, context, problem, shared, first, matrices);
    launch(solve_kernel<T>, blocks, kThreads, bytes, context, problem, first, matrices, b, in_shared, info);
  }
}

}  // namespace

int64_t als_rows_workspace(int64_t rows, int64_t dim, int steps, int64_t itemsize) {
  const int64_t at_work = rows_at_work(rows, dim, steps, itemsize);
  if (steps > 0) return 3 * aligned(at_work * dim * itemsize) + aligned(at_work * 8);
  return aligned(at_work * (dim * (dim + 1) / 2) * itemsize) + aligned(at_work * dim * itemsize);
}

template <class T>
void als_rows(const AlsTerm<T>* terms, int count, MatrixView<const T> shared, const T* ridge, MatrixView<const T> prior,
              MatrixView<T> p, int steps, int32_t* info, const DeviceContext& context) {
  set_bytes(info, 0xff, sizeof(int32_t), context);
  if (p.rows == 0 || p.cols == 0) return;
  if (count > kMostAlsTerms) throw CudaError(0, "too many terms");
  Problem<T> problem{{}, count, ridge, prior, p};
  std::copy_n(terms, count, problem.terms);
  if (steps > 0)
    by_gradients(problem, shared, steps, context);
  else
    by_cholesky(problem, shared, info, context);
}

#define FASTLAE_INSTANTIATE(T)                                                                                         \
  template void als_rows<T>(const AlsTerm<T>*, int, MatrixView<const T>, const T*, MatrixView<const T>, MatrixView<T>, \
                            int, int32_t*, const DeviceContext&);
FASTLAE_INSTANTIATE(float)
FASTLAE_INSTANTIATE(double)
#undef FASTLAE_INSTANTIATE

}  // namespace fastlae::cuda
