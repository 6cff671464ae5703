// Rows go by blocks. Of a step of conjugate gradients the dense part, P_block * shared, is one matrix product for the
// block, and what the entries add is read row by row. Factors are filled up with zeros to whole cache lines: then no
// vector loop has a rest.
#include "fastlae/als.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "fastlae/errors.hpp"
#include "large_buffer.hpp"
#include "parallel.hpp"
#include "simd/als_rows.hpp"
#include "simd/gemm.hpp"

namespace fastlae {

using std::int64_t;

namespace {

constexpr int64_t kBlockRows = 12;  // a multiple of the rows of the register tile, wherever that divides it
constexpr int64_t kGathered = 128;  // entries whose factors are copied together, for Cholesky

template <class T>
int64_t padded(int64_t dim) {
  constexpr int64_t width = simd::kAlsLine / static_cast<int64_t>(sizeof(T));
  return (dim + width - 1) / width * width;
}

/// Rows of whole lines: the matrix itself if its rows are such, else a copy.
template <class T>
MatrixView<const T> whole_lines(MatrixView<const T> f, LargeBuffer<T>& memory, const Context& context) {
  const int64_t dim = padded<T>(f.cols);
  if (dim == f.cols) return f;
  memory = LargeBuffer<T>(static_cast<std::size_t>(f.rows * dim));
  parallel_for(context, f.rows, 4096, [&](int64_t first, int64_t last, int) {
    for (int64_t i = first; i < last; ++i) {
      std::copy_n(f.row(i), f.cols, memory.data() + i * dim);
      std::fill(memory.data() + i * dim + f.cols, memory.data() + (i + 1) * dim, T(0));
    }
  });
  return {memory.data(), f.rows, dim, dim};
}

template <class T>
struct Problem {
  std::vector<AlsTerm<T>> terms;  // with factors of whole lines
  const T* ridge;
  MatrixView<const T> prior;
  MatrixView<T> p;
  MatrixView<const T> shared;  // (dim, dim) of whole lines
  int64_t dim;
  const simd::AlsKernel<T>& kernel = simd::als_kernel<T>();

  bool empty(int64_t r) const {
    if (prior.data) return false;
    return std::all_of(terms.begin(), terms.end(),
                       [&](const AlsTerm<T>& t) { return t.x.indptr[r] == t.x.indptr[r + 1]; });
  }
  void right_side(int64_t r, T* b) const {
    std::fill_n(b, dim, T(0));
    if (prior.data) std::copy_n(prior.row(r), prior.cols, b);
    for (const AlsTerm<T>& t : terms) {
      const int64_t k = t.x.indptr[r];
      kernel.add_targets(t.x.indptr[r + 1] - k, t.x.indices + k, t.targets ? t.targets + k : nullptr,
                         t.x.values ? t.x.values + k : nullptr, t.weight, t.offset, t.fixed.data, t.fixed.stride, dim,
                         b);
    }
  }
  /// y += (ridge I + sum of the entries) x.
  void add_product(int64_t r, const T* x, T* y) const {
    kernel.axpby(dim, ridge[r], x, T(1), y);
    for (const AlsTerm<T>& t : terms) {
      const int64_t k = t.x.indptr[r];
      kernel.add_outer(t.x.indptr[r + 1] - k, t.x.indices + k, t.x.values ? t.x.values + k : nullptr, t.weight,
                       t.fixed.data, t.fixed.stride, dim, x, y);
    }
  }
};

/// Conjugate gradients on a block of rows.
template <class T>
class Gradients {
 public:
  Gradients(const Problem<T>& problem, const T* packed_shared, int steps)
      : problem_(problem),
        packed_shared_(packed_shared),
        steps_(steps),
        memory_(static_cast<std::size_t>(6 * kBlockRows * problem.dim)) {}

  void solve(int64_t first, int64_t last) {
    const int64_t dim = problem_.dim, count = last - first;
    const auto& kernel = problem_.kernel;
    T *const x = part(0), *const r = part(1), *const p = part(2), *const q = part(3);
    double squares[kBlockRows];
    for (int64_t i = 0; i < count; ++i) {
      std::fill_n(x + i * dim, dim, T(0));
      if (!problem_.empty(first + i)) std::copy_n(problem_.p.row(first + i), problem_.p.cols, x + i * dim);
      problem_.right_side(first + i, r + i * dim);
    }
    times_shared(count, x, q);
    for (int64_t i = 0; i < count; ++i) {
      T *const ri = r + i * dim, *const pi = p + i * dim, *const qi = q + i * dim;
      problem_.add_product(first + i, x + i * dim, qi);
      kernel.axpby(dim, T(-1), qi, T(1), ri);
      std::copy_n(ri, dim, pi);
      squares[i] = static_cast<double>(kernel.dot(dim, ri, ri));
    }
    for (int step = 0; step < steps_; ++step) {
      times_shared(count, p, q);
      for (int64_t i = 0; i < count; ++i) {
        if (!(squares[i] > 0)) continue;
        T *const ri = r + i * dim, *const pi = p + i * dim, *const qi = q + i * dim;
        problem_.add_product(first + i, pi, qi);
        const auto curvature = static_cast<double>(kernel.dot(dim, pi, qi));
        if (!(curvature > 0)) {  // the residual is rounding
          squares[i] = 0;
          continue;
        }
        const T length = static_cast<T>(squares[i] / curvature);
        kernel.axpby(dim, length, pi, T(1), x + i * dim);
        kernel.axpby(dim, -length, qi, T(1), ri);
        const auto now = static_cast<double>(kernel.dot(dim, ri, ri));
        kernel.axpby(dim, T(1), ri, static_cast<T>(now / squares[i]), pi);
        squares[i] = now;
      }
    }
    for (int64_t i = 0; i < count; ++i) std::copy_n(x + i * dim, problem_.p.cols, problem_.p.row(first + i));
  }

 private:
  T* part(int64_t which) const { return memory_.data() + which * kBlockRows * problem_.dim; }
  void times_shared(int64_t count, const T* x, T* y) const {
    const int64_t dim = problem_.dim;
    const simd::GemmKernel<T>& gemm = simd::gemm_kernel<T>();
    T* const packed = part(4);
    gemm.pack_a(count, dim, x, dim, 1, packed);
    gemm.multiply_packed(count, dim, dim, packed, packed_shared_, T(1), T(0), y, dim, simd::kFull, {});
  }

  const Problem<T>& problem_;
  const T* packed_shared_;
  int steps_;
  LargeBuffer<T> memory_;
};

/// One row after the other, exactly.
template <class T>
class Cholesky {
 public:
  explicit Cholesky(const Problem<T>& problem)
      : problem_(problem),
        stride_(problem.dim + simd::kAlsLine / static_cast<int64_t>(sizeof(T))),  // not a power of two
        memory_(static_cast<std::size_t>(problem.dim * stride_ + (2 * kGathered + 1) * problem.dim)) {}

  void solve(int64_t r) {
    const int64_t dim = problem_.dim;
    T *const a = memory_.data(), *const b = a + dim * stride_, *const f = b + dim, *const wf = f + kGathered * dim;
    problem_.right_side(r, b);
    if (!problem_.empty(r)) {
      for (int64_t i = 0; i < dim; ++i) {
        std::copy_n(problem_.shared.row(i), i + 1, a + i * stride_);
        a[i * stride_ + i] += problem_.ridge[r];
      }
      for (int64_t i = problem_.p.cols; i < dim; ++i)
        a[i * stride_ + i] = T(1);  // the padding is no part of the matrix
      for (const AlsTerm<T>& t : problem_.terms)
        for (int64_t k = t.x.indptr[r]; k < t.x.indptr[r + 1]; k += kGathered) {
          const int64_t count = std::min(kGathered, t.x.indptr[r + 1] - k);
          for (int64_t c = 0; c < count; ++c) {
            const T* const from = t.fixed.row(t.x.indices[k + c]);
            const T weight = t.x.values ? t.x.values[k + c] : t.weight;
            for (int64_t j = 0; j < dim; ++j) f[c * dim + j] = from[j], wf[c * dim + j] = weight * from[j];
          }
          simd::gemm_kernel<T>().gemm(true, false, dim, dim, count, T(1), wf, dim, f, dim, T(1), a, stride_,
                                      simd::kLowerC);
        }
      if (const int64_t pivot = problem_.kernel.solve(dim, a, stride_, b); pivot >= 0) throw NotPositiveDefinite(r);
    }
    std::copy_n(b, problem_.p.cols, problem_.p.row(r));
  }

 private:
  const Problem<T>& problem_;
  int64_t stride_;
  LargeBuffer<T> memory_;
};

}  // namespace

template <class T>
void als_rows(const AlsTerm<T>* terms, int count, MatrixView<const T> shared, const T* ridge, MatrixView<const T> prior,
              MatrixView<T> p, int steps, const Context& context) {
  const int64_t dim = padded<T>(p.cols), threads = std::max(1, context.num_threads);
  if (p.rows == 0 || dim == 0) return;
  std::vector<LargeBuffer<T>> copies(static_cast<std::size_t>(count));
  LargeBuffer<T> square(static_cast<std::size_t>(dim * dim));
  std::fill_n(square.data(), dim * dim, T(0));
  for (int64_t i = 0; i < shared.rows; ++i) std::copy_n(shared.row(i), shared.cols, square.data() + i * dim);
  Problem<T> problem{{terms, terms + count}, ridge, prior, p, {square.data(), dim, dim, dim}, dim};
  for (int t = 0; t < count; ++t) problem.terms[t].fixed = whole_lines(terms[t].fixed, copies[t], context);
  if (steps > 0) {
    const simd::GemmKernel<T>& gemm = simd::gemm_kernel<T>();
    const int64_t lines = (dim + gemm.b_lines - 1) / gemm.b_lines * gemm.b_lines;
    LargeBuffer<T> packed(static_cast<std::size_t>(lines * dim));
    gemm.pack_b(dim, dim, square.data(), 1, dim, packed.data());
    std::vector<std::unique_ptr<Gradients<T>>> own(static_cast<std::size_t>(threads));
    parallel_for(context, p.rows, kBlockRows, [&](int64_t first, int64_t last, int thread) {
      auto& mine = own[static_cast<std::size_t>(thread)];
      if (!mine) mine = std::make_unique<Gradients<T>>(problem, packed.data(), steps);
      mine->solve(first, last);
    });
    return;
  }
  std::vector<std::unique_ptr<Cholesky<T>>> own(static_cast<std::size_t>(threads));
  parallel_for(context, p.rows, 1, [&](int64_t r, int64_t, int thread) {
    auto& mine = own[static_cast<std::size_t>(thread)];
    if (!mine) mine = std::make_unique<Cholesky<T>>(problem);
    mine->solve(r);
  });
}

#define FASTLAE_INSTANTIATE(T)                                                                                         \
  template void als_rows<T>(const AlsTerm<T>*, int, MatrixView<const T>, const T*, MatrixView<const T>, MatrixView<T>, \
                            int, const Context&);
FASTLAE_INSTANTIATE(float)
FASTLAE_INSTANTIATE(double)

}  // namespace fastlae
