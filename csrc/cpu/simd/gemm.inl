// The matrix product for one instruction set; see gemm.hpp. Included by for_each_isa.inl.

// Register tile: kMr rows of kNv vectors, so that kMr x kNv sums, kNv vectors of B and one of A fit the registers, and
// enough independent sums hide the latency of a fused multiply-add.
constexpr int kMr = kBytes == 64 ? 12 : kBytes == 32 ? 6 : kRegisters == 32 ? 8 : 4;
constexpr int kNv = kBytes == 16 && kRegisters == 32 ? 3 : 2;

/// Elements first, first + 1, ... of a and of b in turns, until the vector is full.
template <class T, int First, std::size_t... I>
FASTLAE_INLINE Vector<T> interleave(Vector<T> a, Vector<T> b, std::index_sequence<I...>) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, (First + I / 2 + I % 2 * lanes<T>)...);
#else  // gcc has the builtin above from version 12 on, this one always
  typedef std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t> Index __attribute__((vector_size(kBytes)));
  return __builtin_shuffle(a, b, Index{(First + I / 2 + I % 2 * lanes<T>)...});
#endif
}

/// Perfect-shuffle transpose of a lanes x lanes square: log2(lanes) rounds of interleaving row i with row i + lanes/2.
/// By element type, not by vector type: a template argument would lose the vector's alignment.
template <class T>
FASTLAE_INLINE void transpose_square(Vector<T> (&rows)[lanes<T>]) {
  using V = Vector<T>;
  constexpr int N = lanes<T>;
  using Places = std::make_index_sequence<N>;
#pragma GCC unroll 4
  for (int round = 1; round < N; round *= 2) {
    V next[N];
#pragma GCC unroll 16
    for (int i = 0; i < N / 2; ++i) {
      next[2 * i] = interleave<T, 0>(rows[i], rows[i + N / 2], Places{});
      next[2 * i + 1] = interleave<T, N / 2>(rows[i], rows[i + N / 2], Places{});
    }
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) rows[i] = next[i];
  }
}

/// Copies `count` lines of `depth` elements into panels of R interleaved lines: out[panel][k][line]. The last panel is
/// filled up with zeros. Line l holds its elements at src + l * line_stride + k * depth_stride; one of the strides
/// is 1.
template <class T, int R>
FASTLAE_INLINE void pack(int64_t count, int64_t depth, const T* src, int64_t line_stride, int64_t depth_stride,
                         T* out) {
  using V = Vector<T>;
  constexpr int L = lanes<T>;
  for (int64_t first = 0; first < count; first += R, out += R * depth) {
    const int64_t lines = std::min<int64_t>(R, count - first);
    const T* from = src + first * line_stride;
    if (lines < R) {
      std::memset(out, 0, sizeof(T) * R * depth);
      for (int64_t k = 0; k < depth; ++k)
        for (int64_t l = 0; l < lines; ++l) out[k * R + l] = from[l * line_stride + k * depth_stride];
    } else if (line_stride == 1) {
      for (int64_t k = 0; k < depth; ++k) std::memcpy(out + k * R, from + k * depth_stride, sizeof(T) * R);
    } else {
      // Elements of a line are contiguous: transpose squares in registers. Where R is no multiple of the lanes, the
      // last square's surplus columns spill into the next k and are overwritten there; so groups descend, k ascends,
      // and the panel's end goes by elements.
      const int64_t whole = (depth - 1) / L * L;
      for (int64_t k = 0; k < whole; k += L) {
#pragma GCC unroll 4
        for (int group = (R - 1) / L * L; group >= 0; group -= L) {
          V square[L];
#pragma GCC unroll 16
          for (int l = 0; l < L; ++l)
            square[l] = group + l < R ? *reinterpret_cast<const V*>(from + (group + l) * line_stride + k) : V{};
          transpose_square<T>(square);
#pragma GCC unroll 16
          for (int l = 0; l < L; ++l) *reinterpret_cast<V*>(out + (k + l) * R + group) = square[l];
        }
      }
      for (int64_t k = whole; k < depth; ++k)
        for (int l = 0; l < R; ++l) out[k * R + l] = from[l * line_stride + k];
    }
  }
}

template <class T>
FASTLAE_INLINE void register_tile(int64_t depth, const T* a, const T* b, T alpha, T beta, T* c, int64_t stride_c) {
  using V = Vector<T>;
  constexpr int L = lanes<T>;
  for (int i = 0; i < kMr; ++i)
    for (int j = 0; j < kNv; ++j) __builtin_prefetch(c + i * stride_c + j * L, 1);
  V sum[kMr][kNv];
#pragma GCC unroll 16
  for (int i = 0; i < kMr; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < kNv; ++j) sum[i][j] = V{};
  for (int64_t k = 0; k < depth; ++k, a += kMr, b += kNv * L) {
    V bv[kNv];
#pragma GCC unroll 4
    for (int j = 0; j < kNv; ++j) bv[j] = *reinterpret_cast<const V*>(b + j * L);
#pragma GCC unroll 16
    for (int i = 0; i < kMr; ++i) {
      const V av = a[i] - V{};  // a copy in every lane: x + 0 would be an addition (because of -0), x - 0 is x
#pragma GCC unroll 4
      for (int j = 0; j < kNv; ++j) sum[i][j] += av * bv[j];
    }
  }
  // Hides C from the optimizer, which would otherwise keep a dozen row addresses alive across the loop above and spill
  // sums for them (half the speed).
  __asm__("" : "+r"(c), "+r"(stride_c));
  const V scale = alpha - V{};
#pragma GCC unroll 16
  for (int i = 0; i < kMr; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < kNv; ++j) {
      V* to = reinterpret_cast<V*>(c + i * stride_c + j * L);
      *to = beta == T(0) ? scale * sum[i][j] : scale * sum[i][j] + beta * *to;
    }
}

template <class T>
void pack_a(int64_t count, int64_t depth, const T* src, int64_t line_stride, int64_t depth_stride, T* out) {
  pack<T, kMr>(count, depth, src, line_stride, depth_stride, out);
}

template <class T>
void pack_b(int64_t count, int64_t depth, const T* src, int64_t line_stride, int64_t depth_stride, T* out) {
  pack<T, kNv * lanes<T>>(count, depth, src, line_stride, depth_stride, out);
}

/// C = alpha A B + beta C from packed panels: A m x depth, B depth x n. `first` holds the place of this product inside
/// a larger one: the row and column of C's corner and the depth already done, which is what `shape` refers to.
template <class T>
void multiply_packed(int64_t m, int64_t n, int64_t depth, const T* packed_a, const T* packed_b, T alpha, T beta, T* c,
                     int64_t stride_c, int shape, Corner first) {
  constexpr int MR = kMr, NR = kNv * lanes<T>;
  for (int64_t i0 = 0; i0 < m; i0 += kRows)  // a block of A stays in L2 while the panels of B pass by
    for (int64_t j = 0; j < n; j += NR)
      for (int64_t i = i0; i < std::min(m, i0 + kRows); i += MR) {
        const int64_t row = first.row + i, col = first.col + j;
        if ((shape & kLowerC) && col > row + MR - 1) continue;
        int64_t begin = 0, end = depth;  // the part of the panel in which a triangular factor is not zero
        if (shape & kUpperA) begin = std::max(begin, row - first.depth);
        if (shape & kLowerB) begin = std::max(begin, col - first.depth);
        if (shape & kLowerA) end = std::min(end, row + MR - first.depth);
        if (shape & kUpperB) end = std::min(end, col + NR - first.depth);
        const int64_t needed = std::max<int64_t>(0, end - begin);
        if (needed == 0 && beta == T(1)) continue;
        const T* pa = packed_a + i * depth + begin * MR;
        const T* pb = packed_b + j * depth + begin * NR;
        T* to = c + i * stride_c + j;
        if (i + MR <= m && j + NR <= n) {
          register_tile<T>(needed, pa, pb, alpha, beta, to, stride_c);
        } else {  // the border: a whole tile beside C, of which the part inside is added
          T tile[MR * NR];
          register_tile<T>(needed, pa, pb, alpha, T(0), tile, NR);
          for (int64_t r = 0; r < std::min<int64_t>(MR, m - i); ++r)
            for (int64_t s = 0; s < std::min<int64_t>(NR, n - j); ++s) {
              T& out = to[r * stride_c + s];
              out = beta == T(0) ? tile[r * NR + s] : tile[r * NR + s] + beta * out;
            }
        }
      }
}

template <class T>
void gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, T alpha, const T* a, int64_t stride_a,
          const T* b, int64_t stride_b, T beta, T* c, int64_t stride_c, int shape) {
  thread_local Scratch<T> scratch;
  T* const packed_a = scratch.a();
  T* const packed_b = scratch.b();
  if (k == 0) {
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) c[i * stride_c + j] = beta == T(0) ? T(0) : beta * c[i * stride_c + j];
    return;
  }
  const auto a_at = [&](int64_t i, int64_t l) { return transpose_a ? a + l * stride_a + i : a + i * stride_a + l; };
  const auto b_at = [&](int64_t l, int64_t j) { return transpose_b ? b + j * stride_b + l : b + l * stride_b + j; };
  for (int64_t j0 = 0; j0 < n; j0 += kCols) {
    const int64_t nc = std::min(kCols, n - j0);
    const int64_t first_row = shape & kLowerC ? j0 / kMr * kMr : 0;
    for (int64_t k0 = 0; k0 < k; k0 += kDepth) {
      const int64_t depth = std::min(kDepth, k - k0);
      pack_b<T>(nc, depth, b_at(k0, j0), transpose_b ? stride_b : 1, transpose_b ? 1 : stride_b, packed_b);
      for (int64_t i0 = first_row; i0 < m; i0 += kRows) {
        const int64_t mc = std::min(kRows, m - i0);
        pack_a<T>(mc, depth, a_at(i0, k0), transpose_a ? 1 : stride_a, transpose_a ? stride_a : 1, packed_a);
        multiply_packed<T>(mc, nc, depth, packed_a, packed_b, alpha, k0 == 0 ? beta : T(1), c + i0 * stride_c + j0,
                           stride_c, shape, {i0, j0, k0});
      }
    }
  }
}

template <class T>
constexpr GemmKernel<T> kernel{kMr, kNv * lanes<T>, pack_a<T>, pack_b<T>, multiply_packed<T>, gemm<T>};
