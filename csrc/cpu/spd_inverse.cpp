#include "fastlae/spd_inverse.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

#include "large_buffer.hpp"
#include "parallel.hpp"
#include "simd/gemm.hpp"

namespace fastlae {

namespace {

using std::int64_t;

// Rows of a tile: a multiple of the register tile's sides. Larger tiles touch the matrix less often and make deeper
// products, smaller ones waste less on the diagonal; measured flat between 384 and 768 for large matrices.
constexpr int64_t kTile = 480;
constexpr int64_t kMinTile = 96;
constexpr int64_t kSmall = 48;  // diagonal blocks of at most this order are factored by plain loops

/// Lower Cholesky factor and its inverse of one small block by plain loops: a <- L^-1, upper part zero.
/// Returns the index of the first pivot that is not positive, or -1.
template <class T>
int64_t invert_factor_small(MatrixView<T> a) {
  const int64_t n = a.rows;
  for (int64_t j = 0; j < n; ++j) {
    T pivot = a(j, j);
    for (int64_t k = 0; k < j; ++k) pivot -= a(j, k) * a(j, k);
    if (!(pivot > T(0)) || !std::isfinite(pivot)) return j;
    const T root = std::sqrt(pivot);
    a(j, j) = root;
    for (int64_t i = j + 1; i < n; ++i) {
      T sum = a(i, j);
      for (int64_t k = 0; k < j; ++k) sum -= a(i, k) * a(j, k);
      a(i, j) = sum / root;
    }
  }
  // L^-1 row by row: row i is -(1/L_ii) L[i, :i] L^-1[:i, :], and columns ascend so that L[i, :] survives as long as
  // it is needed.
  for (int64_t i = 0; i < n; ++i) {
    const T inverse = T(1) / a(i, i);
    for (int64_t j = 0; j < i; ++j) {
      T sum = 0;
      for (int64_t k = j; k < i; ++k) sum += a(i, k) * a(k, j);
      a(i, j) = -inverse * sum;
    }
    a(i, i) = inverse;
    for (int64_t j = i + 1; j < n; ++j) a(i, j) = T(0);
  }
  return -1;
}

/// The same for a block of any order, by halves:
///   [A11    ]      M11 = L11^-1,  L21 = A21 M11^T,  M22 = (A22 - L21 L21^T -> L22)^-1,  M21 = -M22 L21 M11.
///   [A21 A22]
template <class T>
int64_t invert_factor(MatrixView<T> a, const simd::GemmKernel<T>& kernel, T* scratch) {
  const int64_t n = a.rows;
  if (n <= kSmall) return invert_factor_small(a);
  const int64_t n1 = n / 2, n2 = n - n1, s = a.stride;
  const MatrixView<T> a11 = a.block(0, 0, n1, n1), a21 = a.block(n1, 0, n2, n1), a22 = a.block(n1, n1, n2, n2);
  int64_t bad = invert_factor(a11, kernel, scratch);
  if (bad >= 0) return bad;
  kernel.gemm(false, true, n2, n1, n1, T(1), a21.data, s, a11.data, s, T(0), scratch, n1, simd::kUpperB);
  for (int64_t i = 0; i < n2; ++i) std::copy_n(scratch + i * n1, n1, a21.row(i));
  kernel.gemm(false, true, n2, n2, n1, T(-1), a21.data, s, a21.data, s, T(1), a22.data, s, simd::kLowerC);
  bad = invert_factor(a22, kernel, scratch);
  if (bad >= 0) return n1 + bad;
  kernel.gemm(false, false, n2, n1, n1, T(1), a21.data, s, a11.data, s, T(0), scratch, n1, simd::kLowerB);
  kernel.gemm(false, false, n2, n1, n2, T(-1), a22.data, s, scratch, n1, T(0), a21.data, s, simd::kLowerA);
  for (int64_t i = 0; i < n1; ++i) std::fill_n(a.row(i) + n1, n2, T(0));
  return -1;
}

/// to <- from^T, by squares that stay in cache; on the diagonal, the lower triangle over the upper one.
template <class T>
void mirror(MatrixView<T> from, MatrixView<T> to, bool diagonal) {
  constexpr int64_t side = 16;
  for (int64_t i = 0; i < from.rows; i += side)
    for (int64_t j = 0; j < (diagonal ? i + 1 : from.cols); j += side)
      for (int64_t c = j; c < std::min(from.cols, j + side); ++c)
        for (int64_t r = diagonal ? std::max(i, c + 1) : i; r < std::min(from.rows, i + side); ++r)
          to(c, r) = from(r, c);
}

/// The whole inversion as one sweep over tile rows k (L L^T = A, M = L^-1, C = M^T M = A^-1). Step k makes row k of M
/// and column k of L, the panel P, and then adds one product to every other tile:
///
///     P_r = L_rk = A_rk M_kk^T  (r > k),    P_r = M_kr^T, M_kr = -M_kk S_kr  (r < k)
///     tile (i, j) += -/+ P_i P_j^T           (minus where j > k)
///
/// Below and right of k the tiles hold what remains of A; in rows after and columns before k the sums
/// S_ij = sum_{k >= j} L_ik M_kj; above k the sums C_ij = sum_{k >= i} M_ki^T M_kj. When its turn has come, a tile of
/// the panel starts its next sum: A_rk becomes L_rk M_kk, S_kr becomes M_kk^T M_kr, and the diagonal M_kk^T M_kk.
///
/// So a step is one symmetric product of full size, whose operand is packed once and shared by all threads. Tasks are
/// handed out in an order in which each depends on earlier ones only: a thread that waits, waits for a task that
/// somebody has begun. The next panel is made in the midst of the products of this one.
template <class T>
class Sweep {
 public:
  Sweep(SymmetricView<T> a, MatrixView<T> full, const Context& context)
      : a_(a),
        full_(full),
        context_(context),
        kernel_(simd::gemm_kernel<T>()),
        count_(a.tiles()),
        packed_a_(static_cast<std::size_t>(2 * count_ * panel(kernel_.a_lines))),
        packed_b_(static_cast<std::size_t>(2 * count_ * panel(kernel_.b_lines))),
        inverses_(static_cast<std::size_t>(3 * a.tile * a.tile)),
        applied_(static_cast<std::size_t>(count_ * count_)),
        packed_(static_cast<std::size_t>(count_)),
        uses_(static_cast<std::size_t>(count_)) {
    for (int64_t k = 0; k < count_; ++k)
      uses_[static_cast<std::size_t>(k)].store(k + 1 < count_ ? products_ + count_ - 1 : pairs(count_ - 1),
                                               std::memory_order_relaxed);
  }

  void run() {
    const int64_t total = count_ + (count_ - 1) * step_tasks() + pairs(count_ - 1);
    Team team(context_, static_cast<int>(std::min<int64_t>(context_.num_threads, total)));
    std::atomic<int64_t> next{0};
    team.run([&](int thread) {
      LargeBuffer<T> scratch(static_cast<std::size_t>(a_.tile * a_.tile));
      while (!team.stopped()) {
        const int64_t t = next.fetch_add(1, std::memory_order_relaxed);
        if (t >= total) return;
        const Task task = task_at(t);
        const bool finished = task.j < 0 ? make_panel(task.step, task.i, scratch.data(), team)
                                         : add_product(task.step, task.i, task.j, team);
        if (!finished) return;
        team.poll(thread, static_cast<double>(t) / static_cast<double>(total));
      }
    });
  }

 private:
  /// Part i of the panel of `step` (j < 0), or the product of `step` for tile (i, j).
  struct Task {
    int64_t step, i, j;
  };

  /// Tiles of a lower triangle of `count` rows.
  static int64_t pairs(int64_t count) { return count * (count + 1) / 2; }
  /// Of a step, but for the last: its products, the next step's panel.
  int64_t step_tasks() const { return products_ + count_; }

  static int64_t padded(int64_t count, int lines) { return (count + lines - 1) / lines * lines; }
  int64_t panel(int lines) const { return padded(a_.tile, lines) * a_.tile; }
  T* packed_a(int64_t step, int64_t i) const {
    return packed_a_.data() + (step % 2 * count_ + i) * panel(kernel_.a_lines);
  }
  T* packed_b(int64_t step, int64_t i) const {
    return packed_b_.data() + (step % 2 * count_ + i) * panel(kernel_.b_lines);
  }
  MatrixView<T> inverse(int64_t step) const {
    return {inverses_.data() + step % 3 * a_.tile * a_.tile, a_.size(step), a_.size(step), a_.tile};
  }
  std::atomic<int>& applied(int64_t i, int64_t j) { return applied_[static_cast<std::size_t>(i * count_ + j)]; }

  /// First the panel of step 0. Then for every step k the diagonal tile of the next panel, and its products in all rows
  /// and columns but k and k + 1, by rows, as a packed matrix lies in memory, or on a disk; after half of them come the
  /// other tiles of the next panel, which take the products of rows and columns k + 1 themselves.
  Task task_at(int64_t t) const {
    if (t < count_) return {0, t, -1};
    t -= count_;
    const int64_t step = std::min(t / step_tasks(), count_ - 1), ahead = step + 1;
    t -= step * step_tasks();
    if (ahead < count_) {
      if (t == 0) return {ahead, ahead, -1};
      --t;
      const int64_t others = count_ - 1, r = t - products_ / 2;
      if (r >= 0 && r < others) return {ahead, r < ahead ? r : r + 1, -1};
      if (r >= others) t -= others;
    }
    auto i = static_cast<int64_t>((std::sqrt(8.0 * static_cast<double>(t) + 1.0) - 1.0) / 2.0);
    while (pairs(i) > t) --i;  // the root is rounded
    while (pairs(i + 1) <= t) ++i;
    const int64_t j = t - pairs(i), skipped = ahead < count_ ? 2 : 1;
    return {step, i < step ? i : i + skipped, j < step ? j : j + skipped};
  }

  /// False when the team has been stopped meanwhile.
  template <class Ready>
  bool wait(const Team& team, Ready&& ready) const {
    for (int spin = 0; !ready(); ++spin) {
      if (team.stopped()) return false;
      if (spin > 64) std::this_thread::yield();
    }
    return true;
  }
  bool wait_for(const Team& team, const std::atomic<int>& counter, int64_t value) const {
    return wait(team, [&] { return counter.load(std::memory_order_acquire) >= value; });
  }
  /// Until nobody needs the panel of `step` any more.
  bool wait_unused(const Team& team, int64_t step) const {
    if (step < 0) return true;
    return wait(team, [&] { return uses_[static_cast<std::size_t>(step)].load(std::memory_order_acquire) == 0; });
  }

  /// Part r of the panel in both layouts, cut into depths that suit the caches where tiles are larger.
  void pack(int64_t step, int64_t r, int64_t count, int64_t depth, const T* src, int64_t line_stride,
            int64_t depth_stride) const {
    for (int64_t k = 0; k < depth; k += kTile) {
      const int64_t part = std::min(kTile, depth - k);
      const T* const from = src + k * depth_stride;
      kernel_.pack_a(count, part, from, line_stride, depth_stride,
                     packed_a(step, r) + k * padded(count, kernel_.a_lines));
      kernel_.pack_b(count, part, from, line_stride, depth_stride,
                     packed_b(step, r) + k * padded(count, kernel_.b_lines));
    }
  }

  bool add_product(int64_t step, int64_t i, int64_t j, Team& team) {
    if (!wait_for(team, applied(i, j), step) || !wait_for(team, packed_[static_cast<std::size_t>(i)], step + 1) ||
        !wait_for(team, packed_[static_cast<std::size_t>(j)], step + 1))
      return false;
    const MatrixView<T> to = a_.block(i, j);
    for (int64_t k = 0; k < a_.size(step); k += kTile)
      kernel_.multiply_packed(to.rows, to.cols, std::min(kTile, a_.size(step) - k),
                              packed_a(step, i) + k * padded(to.rows, kernel_.a_lines),
                              packed_b(step, j) + k * padded(to.cols, kernel_.b_lines), j > step ? T(-1) : T(1), T(1),
                              to.data, to.stride, i == j ? simd::kLowerC : simd::kFull, {});
    uses_[static_cast<std::size_t>(step)].fetch_sub(1, std::memory_order_acq_rel);
    finish(i, j, step);
    return true;
  }

  /// The tile has had all products up to that of `step`.
  void finish(int64_t i, int64_t j, int64_t step) {
    if (step == count_ - 1) {
      if (i == j)
        mirror(a_.block(i, i), a_.block(i, i), true);
      else if (full_.data)
        mirror(a_.block(i, j), full_.block(a_.begin(j), a_.begin(i), a_.size(j), a_.size(i)), false);
    }
    applied(i, j).store(static_cast<int>(step + 1), std::memory_order_release);
  }

  /// Part r of the panel of `step`: the product of the step before first, if the tile takes one.
  bool make_panel(int64_t step, int64_t r, T* scratch, Team& team) {
    const int64_t i = std::max(step, r), j = std::min(step, r);
    if (step > 0 && r != step - 1) {
      if (!add_product(step - 1, i, j, team)) return false;
    } else if (!wait_for(team, applied(i, j), step)) {
      return false;
    }
    const MatrixView<T> tile = a_.block(i, j), m = inverse(step);
    if (r == step) {
      if (!wait_unused(team, step - 3)) return false;
      const int64_t bad = invert_factor(tile, kernel_, scratch);
      if (bad >= 0) throw NotPositiveDefinite(a_.begin(step) + bad);
      for (int64_t row = 0; row < m.rows; ++row) std::copy_n(tile.row(row), m.cols, m.row(row));
      kernel_.gemm(true, false, m.rows, m.rows, m.rows, T(1), m.data, m.stride, m.data, m.stride, T(0), tile.data,
                   tile.stride, simd::kUpperA | simd::kLowerB | simd::kLowerC);
      factored_.store(static_cast<int>(step + 1), std::memory_order_release);
    } else {
      if (!wait_for(team, factored_, step + 1) || !wait_unused(team, step - 2)) return false;
      const int64_t depth = m.rows;
      if (r > step) {
        kernel_.gemm(false, true, tile.rows, depth, depth, T(1), tile.data, tile.stride, m.data, m.stride, T(0),
                     scratch, depth, simd::kUpperB);
        pack(step, r, tile.rows, depth, scratch, depth, 1);
        kernel_.gemm(false, false, tile.rows, depth, depth, T(1), scratch, depth, m.data, m.stride, T(0), tile.data,
                     tile.stride, simd::kLowerB);
      } else {
        kernel_.gemm(false, false, depth, tile.cols, depth, T(-1), m.data, m.stride, tile.data, tile.stride, T(0),
                     scratch, tile.cols, simd::kLowerA);
        pack(step, r, tile.cols, depth, scratch, 1, tile.cols);
        kernel_.gemm(true, false, depth, tile.cols, depth, T(1), m.data, m.stride, scratch, tile.cols, T(0), tile.data,
                     tile.stride, simd::kUpperA);
      }
      packed_[static_cast<std::size_t>(r)].store(static_cast<int>(step + 1), std::memory_order_release);
    }
    finish(i, j, step);
    return true;
  }

  SymmetricView<T> a_;
  MatrixView<T> full_;  // to be mirrored into, or without data
  const Context& context_;
  const simd::GemmKernel<T>& kernel_;
  int64_t count_;
  int64_t products_ = pairs(std::max<int64_t>(0, count_ - 2));  // of a step, but for the last
  LargeBuffer<T> packed_a_, packed_b_;                          // panels of this step and the next, [step % 2][tile]
  LargeBuffer<T> inverses_;                                     // M_kk of three steps
  std::vector<std::atomic<int>> applied_;                       // steps that a tile has had
  std::vector<std::atomic<int>> packed_;                        // steps whose panel has this part
  std::vector<std::atomic<int64_t>> uses_;                      // tasks that have yet to read a step's panel
  std::atomic<int> factored_{0};
};

}  // namespace

int64_t inverse_tile(int64_t n) {
  const int64_t tile = std::clamp(n / 8, kMinTile, kTile), tiles = std::max<int64_t>(1, (n + tile - 1) / tile);
  const int64_t even = (n + tiles - 1) / tiles;
  return std::max(kMinTile, (even + kMinTile - 1) / kMinTile * kMinTile);
}

template <class T>
void spd_inverse(MatrixView<T> a, const Context& context) {
  if (a.rows == 0) return;
  Sweep<T>({a.data, a.rows, inverse_tile(a.rows), a.stride}, a, context).run();
}

template <class T>
void spd_inverse(SymmetricView<T> a, const Context& context) {
  if (a.n == 0) return;
  Sweep<T>(a, {}, context).run();
}

template <class T>
double asymmetry(MatrixView<const T> a, const Context& context) {
  constexpr int64_t side = 64;
  const int64_t n = a.rows, blocks = (n + side - 1) / side;
  std::vector<double> worst(static_cast<std::size_t>(blocks), 0.0);
  parallel_for(context, blocks, 2, [&](int64_t first, int64_t last, int) {
    std::vector<T> above(side * side);
    for (int64_t bi = first; bi < last; ++bi) {
      double most = 0;
      const int64_t i0 = bi * side, i1 = std::min(n, i0 + side);
      for (int64_t j0 = 0; j0 <= i0; j0 += side) {
        const int64_t j1 = std::min(n, j0 + side);
        // The square above the diagonal goes through a buffer, so that memory sees whole rows of it.
        for (int64_t j = j0; j < j1; ++j) std::copy_n(a.row(j) + i0, i1 - i0, &above[(j - j0) * side]);
        bool same = true;  // and finite: the difference of two infinities is not 0 either
        for (int64_t i = i0; i < i1; ++i)
          for (int64_t j = j0; j < j1; ++j) same &= a(i, j) - above[(j - j0) * side + (i - i0)] == T(0);
        if (same) continue;
        for (int64_t i = i0; i < i1; ++i)
          for (int64_t j = j0; j < std::min(i + 1, j1); ++j) {
            const double x = a(i, j), y = a(j, i);
            if (!std::isfinite(x) || !std::isfinite(y)) {
              most = std::numeric_limits<double>::quiet_NaN();
            } else if (x != y && !std::isnan(most)) {
              // two roots: the product of the diagonal's entries can overflow, or vanish
              const double scale = std::sqrt(std::abs(double(a(i, i)))) * std::sqrt(std::abs(double(a(j, j))));
              most = std::max(most, std::abs(x - y) / scale);
            }
          }
      }
      worst[static_cast<std::size_t>(bi)] = most;
    }
  });
  double most = 0;
  for (const double w : worst) most = std::isnan(w) || std::isnan(most) ? w + most : std::max(most, w);
  return most;
}

template void spd_inverse<float>(MatrixView<float>, const Context&);
template void spd_inverse<double>(MatrixView<double>, const Context&);
template void spd_inverse<float>(SymmetricView<float>, const Context&);
template void spd_inverse<double>(SymmetricView<double>, const Context&);
template double asymmetry<float>(MatrixView<const float>, const Context&);
template double asymmetry<double>(MatrixView<const double>, const Context&);

}  // namespace fastlae
