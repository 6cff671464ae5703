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

/// out[j] (+)= the sum of kRows scaled rows, each read front to back.
template <int kRows, bool kFirst, bool kValued, class Stored, class T>
FASTLAE_INLINE void add_rows(const std::int32_t* indices, const T* values, const Stored* w, std::int64_t stride,
                             std::int64_t width, T* out) {
  using V = Vector<T>;
  const Stored* row[kRows];
  V value[kRows];
  for (int r = 0; r < kRows; ++r) {
    row[r] = w + indices[r] * stride;
    if constexpr (kValued) value[r] = values[r] - V{};
  }
  for (std::int64_t j = 0; j < width; j += lanes<T>) {
    V sum = kFirst ? V{} : load(out + j);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      if constexpr (kValued)
        sum += value[r] * load(row[r] + j);
      else
        sum += load(row[r] + j);
    }
    *reinterpret_cast<V*>(out + j) = sum;
  }
}

template <bool kValued, class Stored, class T>
FASTLAE_INLINE void sum_rows(std::int64_t count, const std::int32_t* indices, const T* values, const Stored* w,
                             std::int64_t stride, std::int64_t width, T* out) {
  // Few streams at a time are what a processor foresees; of the next ones the beginnings are fetched.
  constexpr int kAtOnce = 4, kLine = 64 / sizeof(Stored), kLinesAhead = 4;
  std::int64_t e = 0;
  for (; e + kAtOnce <= count; e += kAtOnce) {
    for (std::int64_t next = e + kAtOnce; next < std::min<std::int64_t>(count, e + 2 * kAtOnce); ++next)
      for (int line = 0; line < kLinesAhead; ++line) __builtin_prefetch(w + indices[next] * stride + line * kLine);
    const T* const at = kValued ? values + e : nullptr;
    if (e == 0)
      add_rows<kAtOnce, true, kValued>(indices, at, w, stride, width, out);
    else
      add_rows<kAtOnce, false, kValued>(indices + e, at, w, stride, width, out);
  }
  if (e == 0) std::memset(out, 0, sizeof(T) * static_cast<std::size_t>(width));
  for (; e < count; ++e)
    add_rows<1, false, kValued>(indices + e, kValued ? values + e : nullptr, w, stride, width, out);
}

template <bool kValued, class Stored, class T>
FASTLAE_INLINE void sum_panel(std::int64_t count, const std::int32_t* indices, const T* values, const Stored* w,
                              T* out) {
  using V = Vector<T>;
  constexpr int kColumns = static_cast<int>(kScorePanel);
  constexpr int kVectors = kColumns / lanes<T> < 8 ? kColumns / lanes<T> : 8, kStep = kVectors * lanes<T>;
  for (int j = 0; j < kColumns; j += kStep) {
    V sum[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[v] = V{};
    for (std::int64_t e = 0; e < count; ++e) {
      const Stored* const row = w + indices[e] * kScorePanel + j;
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
void score_rows(std::int64_t count, const std::int32_t* indices, const Accumulator<Stored>* values, const Stored* w,
                std::int64_t stride, std::int64_t width, Accumulator<Stored>* out) {
  if (values)
    sum_rows<true>(count, indices, values, w, stride, width, out);
  else
    sum_rows<false>(count, indices, values, w, stride, width, out);
}

template <class Stored>
void score_panel(std::int64_t count, const std::int32_t* indices, const Accumulator<Stored>* values, const Stored* w,
                 Accumulator<Stored>* out) {
  if (values)
    sum_panel<true>(count, indices, values, w, out);
  else
    sum_panel<false>(count, indices, values, w, out);
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
