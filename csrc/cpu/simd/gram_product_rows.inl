// Body of gram_product_rows.hpp.

template <bool kValued, class T>
FASTLAE_INLINE void add_users(std::int64_t first, std::int64_t last, const std::int64_t* indptr,
                              const std::int32_t* indices, const T* values, const T* e, T* __restrict y) {
  using V = Vector<T>;
  constexpr int kWidth = kProductRow / sizeof(T), kVectors = kWidth / lanes<T>;
  const auto at = [](auto* panel, std::int32_t i) { return panel + static_cast<std::int64_t>(i) * kWidth; };
  for (std::int64_t u = first; u < last; ++u) {
    V t[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) t[v] = V{};
    for (std::int64_t k = indptr[u]; k < indptr[u + 1]; ++k) {
      const V* const from = reinterpret_cast<const V*>(at(e, indices[k]));
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        if constexpr (kValued)
          t[v] += values[k] * from[v];
        else
          t[v] += from[v];
      }
    }
    for (std::int64_t k = indptr[u]; k < indptr[u + 1]; ++k) {
      V* const to = reinterpret_cast<V*>(at(y, indices[k]));
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        if constexpr (kValued)
          to[v] += values[k] * t[v];
        else
          to[v] += t[v];
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
