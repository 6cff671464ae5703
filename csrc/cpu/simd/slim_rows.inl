// Subtracting multiples of rows, for one instruction set; see slim_rows.hpp.

constexpr int kLanes = kBytes / sizeof(double);
typedef float Floats __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));

FASTLAE_INLINE Vector<double> widened(const double* from) {
  return *reinterpret_cast<const Vector<double>*>(from);
}
FASTLAE_INLINE Vector<double> widened(const float* from) {
  return __builtin_convertvector(*reinterpret_cast<const Floats*>(from), Vector<double>);
}

template <class T, int kRows>
FASTLAE_INLINE void subtract(std::int64_t n, const double* delta, const T* const* rows, double* r) {
  using V = Vector<double>;
  V scale[kRows];
  const T* row[kRows];
#pragma GCC unroll 4
  for (int l = 0; l < kRows; ++l) {
    scale[l] = delta[l] - V{};
    row[l] = rows[l];
  }
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    V sum = widened(r + i);
#pragma GCC unroll 4
    for (int l = 0; l < kRows; ++l) sum -= scale[l] * widened(row[l] + i);
    *reinterpret_cast<V*>(r + i) = sum;
  }
  for (; i < n; ++i)
    for (int l = 0; l < kRows; ++l) r[i] -= delta[l] * static_cast<double>(row[l][i]);
}

template <class T>
void subtract_rows(std::int64_t n, const double* delta, const T* const* rows, double* r) {
  subtract<T, kSlimRows>(n, delta, rows, r);
}

template <class T>
void subtract_row(std::int64_t n, double delta, const T* row, double* r) {
  subtract<T, 1>(n, &delta, &row, r);
}
