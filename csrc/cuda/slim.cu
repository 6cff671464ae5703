// A block of threads takes a column. A round lets the worst offenders join the active items, solves for those alone,
// and brings the gradient of all items up to date by the rows of G whose weights have changed. One step of coordinate
// descent is one read of a row of G at the active items, all threads together; nothing waits for another column.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "fastlae/cuda/slim.hpp"
#include "rows.cuh"

namespace fastlae::cuda {

namespace {

using std::int32_t;
using std::int64_t;

constexpr int kThreads = 128, kBlocks = 4;  // of a multiprocessor, so many at least; left to itself, ptxas spills
constexpr int64_t kColumnsAtWork = 1024;    // blocks; some eight for each multiprocessor
constexpr int kJoin = 48;                   // items that may join in a round, at least
constexpr double kInner = 0.2;              // share of the tolerance for the problem of the active items
constexpr int kMaxRounds = 1000;
constexpr int kHalvings = 24;  // of the interval in which the bar for joining is looked for

/// What a block works in, and all that stays the same.
template <class T>
struct Solver {
  MatrixView<const T> g;
  double l1, l2, tolerance;
  bool nonnegative;
  // (n) each, of every block
  double *gradient, *weight, *behind, *local;  // G_j - G w; of the active items their weights, the weights when the
                                               // gradient was made, and their gradients while they are solved for
  int32_t *place, *active;                     // where an item is among the active ones, or -1; the active ones

  __device__ void of_block(int64_t b) {
    const int64_t n = g.rows;
    gradient += b * n, weight += b * n, behind += b * n, local += b * n, place += b * n, active += b * n;
  }

  /// By how much an item misses its optimality condition, given its weight.
  __device__ __forceinline__ double miss(double slope, double w) const {
    const double rest = slope - l2 * w;
    if (w > 0) return fabs(rest - l1);
    if (w < 0) return fabs(rest + l1);
    const double over = (nonnegative ? rest : fabs(rest)) - l1;
    return over > 0 ? over : 0;
  }
  __device__ __forceinline__ double miss_of(int64_t i) const {
    return miss(gradient[i], place[i] < 0 ? 0.0 : weight[place[i]]);
  }
  /// Whether item i, which is not active, may join where so much is missed.
  __device__ __forceinline__ bool joins(int64_t i, int64_t j, double bar) const {
    return i != j && place[i] < 0 && miss_of(i) > bar && g.data[i * g.stride + i] > T(0);
  }
};

template <int kSize, class T>
__device__ __forceinline__ T block_max(T value, T* shared) {
  shared[threadIdx.x] = value;
  __syncthreads();
  for (int half = kSize / 2; half > 0; half /= 2) {
    if (static_cast<int>(threadIdx.x) < half && shared[threadIdx.x + half] > shared[threadIdx.x])
      shared[threadIdx.x] = shared[threadIdx.x + half];
    __syncthreads();
  }
  const T most = shared[0];
  __syncthreads();
  return most;
}

/// gradient -= G times what has changed of the weights. All threads of the block.
template <class T>
__device__ void update(const Solver<T>& s, int size) {
  const int64_t n = s.g.rows;
  for (int64_t i = threadIdx.x; i < n; i += kThreads) {
    double change = 0;
    for (int a = 0; a < size; ++a) {
      const double delta = s.weight[a] - s.behind[a];
      if (delta != 0) change += delta * static_cast<double>(s.g.data[s.active[a] * s.g.stride + i]);
    }
    s.gradient[i] -= change;
  }
  __syncthreads();
  for (int a = static_cast<int>(threadIdx.x); a < size; a += kThreads) s.behind[a] = s.weight[a];
  __syncthreads();
}

/// Items that miss more than `bar` become active, in ascending order; how many there are then.
template <class T>
__device__ int join(const Solver<T>& s, int64_t j, double bar, int size, int32_t* counts) {
  const int64_t n = s.g.rows, part = (n + kThreads - 1) / kThreads;
  const int64_t begin = smaller<int64_t>(n, threadIdx.x * part), end = smaller<int64_t>(n, begin + part);
  int32_t own = 0;
  for (int64_t i = begin; i < end; ++i) own += s.joins(i, j, bar);
  counts[threadIdx.x] = own;
  __syncthreads();
  int before = size, all = size;
  for (int t = 0; t < kThreads; ++t) {
    if (t < static_cast<int>(threadIdx.x)) before += counts[t];
    all += counts[t];
  }
  for (int64_t i = begin; i < end; ++i)
    if (s.joins(i, j, bar)) {
      s.active[before] = static_cast<int32_t>(i);
      s.weight[before] = 0;
      s.behind[before] = 0;
      s.place[i] = before++;
    }
  __syncthreads();
  return all;
}

/// The smallest bar, within what the halvings resolve, that lets at most `most` items join.
template <class T>
__device__ double bar_for(const Solver<T>& s, int64_t j, double limit, double worst, int most, int32_t* counts) {
  double low = limit, high = worst;
  for (int step = 0; step <= kHalvings; ++step) {
    const double bar = step == 0 ? limit : low + (high - low) / 2;
    int32_t own = 0;
    for (int64_t i = threadIdx.x; i < s.g.rows; i += kThreads) own += s.joins(i, j, bar);
    const int32_t found = block_sum<kThreads>(own, counts);
    if (step == 0 && found <= most) return limit;
    if (found > most)
      low = bar;
    else
      high = bar;
    if (step > 0 && found <= most && found >= most - most / 8) break;
  }
  // Where so many miss alike that no bar parts them, they all join: somebody has to.
  return high < worst ? high : low;
}

/// Sweeps over the active items until they hold among themselves; returns how many it took.
template <class T>
__device__ int64_t solve(const Solver<T>& s, int size, double limit, int64_t sweeps) {
  for (int a = static_cast<int>(threadIdx.x); a < size; a += kThreads) s.local[a] = s.gradient[s.active[a]];
  __syncthreads();
  for (int64_t sweep = 1; sweep <= sweeps; ++sweep) {
    double worst = 0;
    for (int a = 0; a < size; ++a) {
      const T* const row = s.g.data + s.active[a] * s.g.stride;
      const double own = static_cast<double>(row[s.active[a]]), before = s.weight[a], z = s.local[a] + own * before;
      double now = 0;
      if (z > s.l1)
        now = (z - s.l1) / (own + s.l2);
      else if (!s.nonnegative && z < -s.l1)
        now = (z + s.l1) / (own + s.l2);
      const double delta = now - before;
      if (delta == 0) continue;  // the same for all threads
      worst = fabs(delta) * (own + s.l2) > worst ? fabs(delta) * (own + s.l2) : worst;
      __syncthreads();  // everybody has read what is written now
      if (threadIdx.x == 0) s.weight[a] = now;
      for (int b = static_cast<int>(threadIdx.x); b < size; b += kThreads)
        s.local[b] -= delta * static_cast<double>(row[s.active[b]]);
      __syncthreads();
    }
    if (worst <= kInner * limit) return sweep;
  }
  return sweeps;
}

/// Where the columns go.
template <class T>
struct Columns {
  int64_t first, count;
  int64_t* starts;
  int32_t* counts;
  double* violations;
  unsigned long long* total;
  int32_t* items;
  T* values;
};

template <class T>
__global__ void __launch_bounds__(kThreads, kBlocks)
    slim_kernel(Solver<T> s, DeviceCsr<T> start, int64_t max_sweeps, Columns<T> columns) {
  __shared__ double sums[kThreads];
  __shared__ int32_t counts[kThreads];
  s.of_block(blockIdx.x);
  const int64_t n = s.g.rows;
  for (int64_t c = blockIdx.x; c < columns.count; c += gridDim.x) {
    const int64_t j = columns.first + c;
    double largest = 0;
    for (int64_t i = threadIdx.x; i < n; i += kThreads) {
      const double own = static_cast<double>(s.g.data[j * s.g.stride + i]);
      s.gradient[i] = own;
      s.place[i] = -1;
      if (i != j && fabs(own) > largest) largest = fabs(own);
    }
    const double scale = block_max<kThreads>(largest, sums), limit = s.tolerance * scale;
    int size = 0;
    if (start.indptr != nullptr && scale > 0) {  // an item that goes with no other has no weights
      if (threadIdx.x == 0) {
        for (int64_t e = start.indptr[j]; e < start.indptr[j + 1]; ++e) {
          const int32_t i = start.indices[e];
          const double w = start.values ? static_cast<double>(start.values[e]) : 1.0;
          if (i == j || w == 0 || (s.nonnegative && w < 0)) continue;
          s.place[i] = size;
          s.active[size] = i;
          s.weight[size] = w;
          s.behind[size++] = 0;
        }
        counts[0] = size;
      }
      __syncthreads();
      size = counts[0];
      __syncthreads();
      update(s, size);
    }
    double violation = 0;
    int64_t sweeps = max_sweeps;
    for (int round = 0; round < kMaxRounds; ++round) {
      double worst = 0, worst_outside = 0;
      for (int64_t i = threadIdx.x; i < n; i += kThreads) {
        if (i == j) continue;
        const double missed = s.miss_of(i);
        worst = missed > worst ? missed : worst;
        if (s.joins(i, j, limit) && missed > worst_outside) worst_outside = missed;
      }
      violation = block_max<kThreads>(worst, sums);
      worst_outside = block_max<kThreads>(worst_outside, sums);
      if (violation <= limit || sweeps <= 0) break;
      if (worst_outside > limit) {
        const int most = size / 2 > kJoin ? size / 2 : kJoin;
        size = join(s, j, bar_for(s, j, limit, worst_outside, most, counts), size, counts);
      }
      sweeps -= solve(s, size, limit, sweeps);
      update(s, size);
    }
    if (threadIdx.x == 0) {
      int kept = 0;
      for (int a = 0; a < size; ++a) kept += s.weight[a] != 0;
      const auto begin = static_cast<int64_t>(atomicAdd(columns.total, static_cast<unsigned long long>(kept)));
      columns.starts[c] = begin;
      columns.counts[c] = kept;
      columns.violations[c] = scale > 0 ? violation / scale : 0;
      for (int a = 0, at = 0; a < size; ++a)
        if (s.weight[a] != 0) {
          columns.items[begin + at] = s.active[a];
          columns.values[begin + at++] = static_cast<T>(s.weight[a]);
        }
    }
    __syncthreads();
  }
}

unsigned columns_at_work(int64_t columns) {
  return grid_size(columns, kColumnsAtWork);
}

}  // namespace

int64_t slim_workspace(int64_t n, int64_t columns) {
  const int64_t numbers = columns_at_work(columns) * n;
  return 4 * aligned(numbers * 8) + 2 * aligned(numbers * 4);
}

template <class T>
void slim(MatrixView<const T> g, const SlimOptions& options, const DeviceCsr<T>* start, int64_t first, int64_t columns,
          int64_t* starts, int32_t* counts, double* violations, int64_t* total, int32_t* items, T* values,
          const DeviceContext& context) {
  set_bytes(total, 0, sizeof(int64_t), context);
  if (columns == 0) return;
  const unsigned blocks = columns_at_work(columns);
  Arena arena(context);
  Solver<T> s{g, options.l1, options.l2, options.tolerance, options.nonnegative, {}, {}, {}, {}, {}, {}};
  for (double** to : {&s.gradient, &s.weight, &s.behind, &s.local}) *to = arena.take<double>(blocks * g.rows);
  for (int32_t** to : {&s.place, &s.active}) *to = arena.take<int32_t>(blocks * g.rows);
  launch(slim_kernel<T>, blocks, kThreads, 0, context, s, start ? *start : DeviceCsr<T>{}, options.max_sweeps,
         Columns<T>{first, columns, starts, counts, violations, reinterpret_cast<unsigned long long*>(total), items,
                    values});
}

#define FASTLAE_INSTANTIATE(T)                                                                                    \
  template void slim<T>(MatrixView<const T>, const SlimOptions&, const DeviceCsr<T>*, int64_t, int64_t, int64_t*, \
                        int32_t*, double*, int64_t*, int32_t*, T*, const DeviceContext&);
FASTLAE_INSTANTIATE(float)
FASTLAE_INSTANTIATE(double)
#undef FASTLAE_INSTANTIATE

}  // namespace fastlae::cuda
