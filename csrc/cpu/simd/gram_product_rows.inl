// Body of gram_product_rows.hpp.

template <bool kValued, class T>
FASTLAE_INLINE void add_users(std::int64_t first, std::int64_t last, const std::int64_t* indptr,
                              const std::int32_t* indices, const T* values, const T* e, T* y) {
  using V = Vector<T>;
  constexpr int kVectors = kProductRow / kBytes, kStep = 2 * kProductRow / sizeof(T);  // E and Y in turns
  constexpr std::int64_t kAhead = 16;
  const auto at = [](auto* panel, std::int32_t i) { return panel + static_cast<std::int64_t>(i) * kStep; };
  const std::int64_t all = indptr[last];
  for (std::int64_t u = first; u < last; ++u) {
    const std::int64_t begin = indptr[u], end = indptr[u + 1];
    // Two sums, since an addition takes longer than it takes to begin the next one.
    V even[kVectors], odd[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) even[v] = odd[v] = V{};
    const auto gather = [&](V* sum, std::int64_t k) {
      const V* const from = reinterpret_cast<const V*>(at(e, indices[k]));
      // Rows come from the second cache and beyond: Y's is asked for now, that of E some items ahead.
      __builtin_prefetch(from + kVectors, 1);
      __builtin_prefetch(at(e, indices[k + kAhead < all ? k + kAhead : k]));
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        if constexpr (kValued)
          sum[v] += values[k] * from[v];
        else
          sum[v] += from[v];
      }
    };
    std::int64_t k = begin;
    for (; k + 1 < end; k += 2) {
      gather(even, k);
      gather(odd, k + 1);
    }
    if (k < end) gather(even, k);
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) even[v] += odd[v];
    for (k = begin; k < end; ++k) {
      V* const to = reinterpret_cast<V*>(at(y, indices[k]));
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        if constexpr (kValued)
          to[v] += values[k] * even[v];
        else
          to[v] += even[v];
      }
    }
  }
}

template <class T>
void gram_product_rows(std::int64_t first, std::int64_t last, const std::int64_t* indptr, const std::int32_t* indices,
                       const T* values, const T* e, T* y) {
  if (values)
    add_users<true>(first, last, indptr, indices, values, e, y);
  else
    add_users<false>(first, last, indptr, indices, values, e, y);
}
