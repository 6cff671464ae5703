#include "fastlae/spd_inverse.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

#include "parallel.hpp"

namespace fastlae {

namespace {

using std::int64_t;

// Rows of a tile. Smaller tiles waste less on the diagonal and balance better, larger ones amortise the packing of
// panels; measured flat between 384 and 768 (bench/spd_inverse.py).
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
int64_t invert_factor(MatrixView<T> a, Gemm<T> gemm, T* scratch) {
  const int64_t n = a.rows;
  if (n <= kSmall) return invert_factor_small(a);
  const int64_t n1 = n / 2, n2 = n - n1, s = a.stride;
  const MatrixView<T> a11 = a.block(0, 0, n1, n1), a21 = a.block(n1, 0, n2, n1), a22 = a.block(n1, n1, n2, n2);
  int64_t bad = invert_factor(a11, gemm, scratch);
  if (bad >= 0) return bad;
  gemm(false, true, n2, n1, n1, T(1), a21.data, s, a11.data, s, T(0), scratch, n1, kUpperB);
  for (int64_t i = 0; i < n2; ++i) std::copy_n(scratch + i * n1, n1, a21.row(i));
  gemm(false, true, n2, n2, n1, T(-1), a21.data, s, a21.data, s, T(1), a22.data, s, kLowerC);
  bad = invert_factor(a22, gemm, scratch);
  if (bad >= 0) return n1 + bad;
  gemm(false, false, n2, n1, n1, T(1), a21.data, s, a11.data, s, T(0), scratch, n1, kLowerB);
  gemm(false, false, n2, n1, n2, T(-1), a22.data, s, scratch, n1, T(0), a21.data, s, kLowerA);
  for (int64_t i = 0; i < n1; ++i) std::fill_n(a.row(i) + n1, n2, T(0));
  return -1;
}

/// Tiles of the lower triangle, with a flag each that says how far its task is.
///
/// A pass hands its tasks out in an order in which every task depends on earlier ones only, so a thread that waits for
/// a flag waits for a task that somebody has begun: no deadlock, no barrier, and the panels' work overlaps the rest.
template <class T>
class Tiles {
 public:
  enum State : unsigned char { kUntouched, kRead, kWritten };

  Tiles(MatrixView<T> a, const Context& context)
      : a_(a),
        context_(context),
        tile_(std::clamp(a.rows / 16 / kMinTile * kMinTile, kMinTile, kTile)),
        count_((a.rows + tile_ - 1) / tile_),
        states_(new std::atomic<unsigned char>[static_cast<std::size_t>(count_ * count_)]) {}

  int64_t count() const { return count_; }
  int64_t begin(int64_t i) const { return i * tile_; }
  int64_t size(int64_t i) const { return std::min(tile_, a_.rows - i * tile_); }
  MatrixView<T> operator()(int64_t i, int64_t j) const { return a_.block(i * tile_, j * tile_, size(i), size(j)); }
  /// Rows of tile row i and columns of tile columns [j, k).
  MatrixView<T> strip(int64_t i, int64_t j, int64_t k) const {
    return a_.block(i * tile_, j * tile_, size(i), std::min(k * tile_, a_.rows) - j * tile_);
  }

  void mark(int64_t i, int64_t j, State state) { flag(i, j).store(state, std::memory_order_release); }

  /// False when the team has been stopped meanwhile.
  bool wait(const Team& team, int64_t i, int64_t j, State state) const {
    for (int spin = 0; flag(i, j).load(std::memory_order_acquire) < state; ++spin) {
      if (team.stopped()) return false;
      if (spin > 64) std::this_thread::yield();
    }
    return true;
  }

  /// Runs task(i, j, scratch, team) for the tiles that `order` lists; a task that returns false ends its thread.
  template <class Task>
  void run(const std::vector<std::pair<int64_t, int64_t>>& order, int pass, Task&& task) {
    for (int64_t t = 0; t < count_ * count_; ++t) states_[t].store(kUntouched, std::memory_order_relaxed);
    const auto total = static_cast<int64_t>(order.size());
    Team team(context_, static_cast<int>(std::min<int64_t>(context_.num_threads, total)));
    std::atomic<int64_t> next{0};
    team.run([&](int thread) {
      std::vector<T> scratch(static_cast<std::size_t>(tile_ * tile_));
      while (!team.stopped()) {
        const int64_t t = next.fetch_add(1, std::memory_order_relaxed);
        if (t >= total || !task(order[t].first, order[t].second, scratch.data(), team)) return;
        team.poll(thread, (pass + static_cast<double>(t) / static_cast<double>(total)) / 3);
      }
    });
  }

 private:
  std::atomic<unsigned char>& flag(int64_t i, int64_t j) const { return states_[i * count_ + j]; }

  MatrixView<T> a_;
  const Context& context_;
  int64_t tile_;
  int64_t count_;
  std::unique_ptr<std::atomic<unsigned char>[]> states_;
};

/// Pass 1, A = L L^T: tile (i, j) <- (A_ij - sum_{k<j} L_ik L_jk^T) L_jj^-T; the diagonal keeps L_jj^-1.
template <class T>
void factor(Tiles<T>& tiles, Gemm<T> gemm, const Context&) {
  std::vector<std::pair<int64_t, int64_t>> order;
  for (int64_t j = 0; j < tiles.count(); ++j)
    for (int64_t i = j; i < tiles.count(); ++i) order.emplace_back(i, j);
  tiles.run(order, 0, [&](int64_t i, int64_t j, T* scratch, Team& team) {
    const MatrixView<T> a = tiles(i, j);
    for (int64_t k = 0; k < j; ++k)
      if (!tiles.wait(team, i, k, tiles.kWritten) || !tiles.wait(team, j, k, tiles.kWritten)) return false;
    const MatrixView<T> left = tiles.strip(i, 0, j), right = tiles.strip(j, 0, j);
    if (j > 0)
      gemm(false, true, a.rows, a.cols, left.cols, T(-1), left.data, a.stride, right.data, a.stride, T(1), a.data,
           a.stride, i == j ? kLowerC : kFull);
    if (i == j) {
      const int64_t bad = invert_factor(a, gemm, scratch);
      if (bad >= 0) throw NotPositiveDefinite(tiles.begin(i) + bad);
    } else {
      if (!tiles.wait(team, j, j, tiles.kWritten)) return false;
      const MatrixView<T> inverse = tiles(j, j);
      for (int64_t r = 0; r < a.rows; ++r) std::copy_n(a.row(r), a.cols, scratch + r * a.cols);
      gemm(false, true, a.rows, a.cols, a.cols, T(1), scratch, a.cols, inverse.data, a.stride, T(0), a.data, a.stride,
           kUpperB);
    }
    tiles.mark(i, j, tiles.kWritten);
    return true;
  });
}

/// Pass 2, M = L^-1: tile (i, k) <- -M_ii sum_{k<=j<i} L_ij M_jk, rows from the top, columns from the left, so that
/// L_ij is overwritten only after the tasks (i, k), k <= j, have read it.
template <class T>
void invert(Tiles<T>& tiles, Gemm<T> gemm, const Context&) {
  std::vector<std::pair<int64_t, int64_t>> order;
  for (int64_t i = 1; i < tiles.count(); ++i)
    for (int64_t k = 0; k < i; ++k) order.emplace_back(i, k);
  if (order.empty()) return;
  tiles.run(order, 1, [&](int64_t i, int64_t k, T* scratch, Team& team) {
    const MatrixView<T> a = tiles(i, k), diagonal = tiles(i, i), row = tiles.strip(i, k, i);
    for (int64_t j = k + 1; j < i; ++j)
      if (!tiles.wait(team, j, k, tiles.kWritten)) return false;
    gemm(false, false, a.rows, a.cols, row.cols, T(1), row.data, a.stride, tiles(k, k).data, a.stride, T(0), scratch,
         a.cols, kLowerB);
    tiles.mark(i, k, tiles.kRead);
    for (int64_t j = 0; j < k; ++j)
      if (!tiles.wait(team, i, j, tiles.kRead)) return false;
    gemm(false, false, a.rows, a.cols, a.rows, T(-1), diagonal.data, a.stride, scratch, a.cols, T(0), a.data, a.stride,
         kLowerA);
    tiles.mark(i, k, tiles.kWritten);
    return true;
  });
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

/// Pass 3, C = M^T M: tile (i, j) <- sum_{r>=i} M_ri^T M_rj, rows from the top. A tile of row i is read by rows up to i
/// only, and the diagonal tile by its whole row.
template <class T>
void square(Tiles<T>& tiles, MatrixView<T> a, Gemm<T> gemm, const Context&) {
  std::vector<std::pair<int64_t, int64_t>> order;
  for (int64_t i = 0; i < tiles.count(); ++i)
    for (int64_t j = 0; j <= i; ++j) order.emplace_back(i, j);
  tiles.run(order, 2, [&](int64_t i, int64_t j, T* scratch, Team& team) {
    const MatrixView<T> to = tiles(i, j);
    gemm(true, false, to.rows, to.cols, a.rows - tiles.begin(i), T(1), tiles(i, i).data, a.stride, to.data, a.stride,
         T(0), scratch, to.cols, kUpperA | (i == j ? kLowerC | kLowerB : kFull));
    tiles.mark(i, j, tiles.kRead);
    // The tile's old content is read by the tasks of row j, and by those of column j in the rows above.
    for (int64_t k = 0; k <= j; ++k)
      if (!tiles.wait(team, j, k, tiles.kRead)) return false;
    for (int64_t k = j + 1; k < i; ++k)
      if (!tiles.wait(team, k, j, tiles.kRead)) return false;
    for (int64_t r = 0; r < to.rows; ++r) std::copy_n(scratch + r * to.cols, i == j ? r + 1 : to.cols, to.row(r));
    mirror(to, tiles(j, i), i == j);
    tiles.mark(i, j, tiles.kWritten);
    return true;
  });
}

}  // namespace

template <class T>
void spd_inverse(MatrixView<T> a, const Context& context) {
  if (a.rows == 0) return;
  const Gemm<T> gemm = context.gemm<T>();
  Tiles<T> tiles(a, context);
  factor(tiles, gemm, context);
  invert(tiles, gemm, context);
  square(tiles, a, gemm, context);
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
template double asymmetry<float>(MatrixView<const float>, const Context&);
template double asymmetry<double>(MatrixView<const double>, const Context&);

}  // namespace fastlae
