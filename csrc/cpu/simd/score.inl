// Sums of scaled rows, for one instruction set; see score_tile.hpp.

typedef std::uint16_t Halves __attribute__((vector_size(kBytes / 2), aligned(2), may_alias));
typedef std::uint32_t Words __attribute__((vector_size(kBytes)));

FASTLAE_INLINE Vector<float> load(const float* from) {
  return *reinterpret_cast<const Vector<float>*>(from);
}
FASTLAE_INLINE Vector<double> load(const double* from) {
  return *reinterpret_cast<const Vector<double>*>(from);
}

FASTLAE_INLINE Words load_words(const void* from) {
  return __builtin_convertvector(*static_cast<const Halves*>(from), Words);
}

FASTLAE_INLINE Vector<float> load(const Bfloat16* from) {
  return (Vector<float>)(load_words(from) << 16);
}

template <std::size_t kVectorBytes>
FASTLAE_INLINE Vector<float> load_float16(const Float16* from) {
#if defined(__x86_64__)
  if constexpr (kVectorBytes == 64)
    return (Vector<float>)_mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  else if constexpr (kVectorBytes == 32)
    return (Vector<float>)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  else
#endif
  {
    // Exponent and fraction moved into the places of a float32; a product with 2^112 moves the bias from 15 to 127 and
    // normalises what is subnormal. The largest exponent means infinity or NaN, and it stays the largest.
    const Words half = load_words(from), magnitude = (half & 0x7fff) << 13;
    const Words scaled = (Words)((Vector<float>)magnitude * 0x1p112f);
    const Words special = (Words)(magnitude >= (0x7c00u << 13)) & 0x7f800000u;
    return (Vector<float>)(scaled | special | (half & 0x8000) << 16);
  }
}
FASTLAE_INLINE Vector<float> load(const Float16* from) {
  return load_float16<kBytes>(from);
}

template <int kColumns, bool kApart, bool kValued, class Stored, class T>
FASTLAE_INLINE void sum_rows(std::int64_t count, const std::int32_t* indices, const T* values, const Stored* w,
                             std::int64_t stride, T* out) {
  using V = Vector<T>;
  constexpr int kVectors = kColumns / lanes<T> < 8 ? kColumns / lanes<T> : 8, kStep = kVectors * lanes<T>;
  constexpr int kRowsAhead = 4, kLine = 64 / sizeof(Stored);
  for (int j = 0; j < kColumns; j += kStep) {
    V sum[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[v] = V{};
    for (std::int64_t e = 0; e < count; ++e) {
      const Stored* const row = w + indices[e] * stride + j;
      if (kApart && e + kRowsAhead < count) {
        const Stored* const ahead = w + indices[e + kRowsAhead] * stride + j;
#pragma GCC unroll 8
        for (int c = 0; c < kStep; c += kLine) __builtin_prefetch(ahead + c);
      }
      if constexpr (kValued) {
        const V value = values[e] - V{};
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) sum[v] += value * load(row + v * lanes<T>);
      } else {
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) sum[v] += load(row + v * lanes<T>);
      }
    }
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) *reinterpret_cast<V*>(out + j + v * lanes<T>) = sum[v];
  }
}

template <class Stored>
void score_tile(std::int64_t count, const std::int32_t* indices, const Accumulator<Stored>* values, const Stored* w,
                std::int64_t stride, Accumulator<Stored>* out) {
  if (values)
    sum_rows<kScoreTile, true, true>(count, indices, values, w, stride, out);
  else
    sum_rows<kScoreTile, true, false>(count, indices, values, w, stride, out);
}

template <class Stored>
void score_panel(std::int64_t count, const std::int32_t* indices, const Accumulator<Stored>* values, const Stored* w,
                 Accumulator<Stored>* out) {
  if (values)
    sum_rows<kScorePanel, false, true>(count, indices, values, w, kScorePanel, out);
  else
    sum_rows<kScorePanel, false, false>(count, indices, values, w, kScorePanel, out);
}

/// Bit l: a[l] > b[l].
template <std::size_t kVectorBytes>
FASTLAE_INLINE std::uint32_t greater(const Vector<float>& a, const Vector<float>& b) {
#if defined(__x86_64__)
  if constexpr (kVectorBytes == 64)
    return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_GT_OQ);
  else if constexpr (kVectorBytes == 32)
    return static_cast<std::uint32_t>(_mm256_movemask_ps((__m256)(a > b)));
  else
    return static_cast<std::uint32_t>(_mm_movemask_ps((__m128)(a > b)));
#else
  std::uint32_t bits = 0;
  for (int l = 0; l < lanes<float>; ++l) bits |= static_cast<std::uint32_t>(a[l] > b[l]) << l;
  return bits;
#endif
}
template <std::size_t kVectorBytes>
FASTLAE_INLINE std::uint32_t greater(const Vector<double>& a, const Vector<double>& b) {
#if defined(__x86_64__)
  if constexpr (kVectorBytes == 64)
    return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_GT_OQ);
  else if constexpr (kVectorBytes == 32)
    return static_cast<std::uint32_t>(_mm256_movemask_pd((__m256d)(a > b)));
  else
    return static_cast<std::uint32_t>(_mm_movemask_pd((__m128d)(a > b)));
#else
  std::uint32_t bits = 0;
  for (int l = 0; l < lanes<double>; ++l) bits |= static_cast<std::uint32_t>(a[l] > b[l]) << l;
  return bits;
#endif
}

template <class T>
std::uint32_t above(const T* scores, T bar) {
  std::uint32_t bits = 0;
  const Vector<T> bars = bar - Vector<T>{};
#pragma GCC unroll 16
  for (int j = 0; j < kScorePanel; j += lanes<T>) bits |= greater<kBytes>(load(scores + j), bars) << j;
  return bits;
}
