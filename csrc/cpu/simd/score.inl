// Sums of scaled rows over a tile of columns, for one instruction set; see score_tile.hpp.

template <class T>
void score_tile(std::int64_t count, const std::int32_t* indices, const T* values, const T* w, std::int64_t stride,
                std::int64_t width, T* out) {
  using V = Vector<T>;
  constexpr int kVectors = 8, kRowsAhead = 4, kStep = kVectors * lanes<T>;
  std::int64_t j = 0;
  for (; j + kStep <= width; j += kStep) {
    V sum[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[v] = V{};
    for (std::int64_t e = 0; e < count; ++e) {
      const T* row = w + indices[e] * stride + j;
      const V value = (values ? values[e] : T(1)) - V{};
      if (e + kRowsAhead < count) {
        const T* ahead = w + indices[e + kRowsAhead] * stride + j;
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) __builtin_prefetch(ahead + v * lanes<T>);
      }
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[v] += value * *reinterpret_cast<const V*>(row + v * lanes<T>);
    }
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) *reinterpret_cast<V*>(out + j + v * lanes<T>) = sum[v];
  }
  for (; j + lanes<T> <= width; j += lanes<T>) {
    V sum{};
    for (std::int64_t e = 0; e < count; ++e)
      sum += ((values ? values[e] : T(1)) - V{}) * *reinterpret_cast<const V*>(w + indices[e] * stride + j);
    *reinterpret_cast<V*>(out + j) = sum;
  }
  for (; j < width; ++j) {
    T sum = 0;
    for (std::int64_t e = 0; e < count; ++e) sum += (values ? values[e] : T(1)) * w[indices[e] * stride + j];
    out[j] = sum;
  }
}
