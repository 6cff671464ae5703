// Bodies of als_rows.hpp.

template <class T>
FASTLAE_INLINE Vector<T>& at(T* p) {
  return *reinterpret_cast<Vector<T>*>(p);
}
template <class T>
FASTLAE_INLINE Vector<T> at(const T* p) {
  return *reinterpret_cast<const Vector<T>*>(p);
}

template <class T>
FASTLAE_INLINE T total(const Vector<T>& v) {
  T sum = v[0];
  for (int l = 1; l < lanes<T>; ++l) sum += v[l];
  return sum;
}

/// N rows at a time: p and y are read once for all of them.
template <int N, class T>
FASTLAE_INLINE void outer_rows(const std::int32_t* columns, const T* weights, T weight, const T* fixed,
                               std::int64_t stride, std::int64_t dim, const T* p, T* y) {
  using V = Vector<T>;
  const T* f[N];
  V sum[N];
#pragma GCC unroll 8
  for (int k = 0; k < N; ++k) f[k] = fixed + columns[k] * stride, sum[k] = V{};
  for (std::int64_t j = 0; j < dim; j += lanes<T>) {
    const V here = at(p + j);
#pragma GCC unroll 8
    for (int k = 0; k < N; ++k) sum[k] += at(f[k] + j) * here;
  }
  V scale[N];
#pragma GCC unroll 8
  for (int k = 0; k < N; ++k) scale[k] = (weights ? weights[k] : weight) * total<T>(sum[k]) - V{};
  for (std::int64_t j = 0; j < dim; j += lanes<T>) {
    V here = at(static_cast<const T*>(y + j));
#pragma GCC unroll 8
    for (int k = 0; k < N; ++k) here += scale[k] * at(f[k] + j);
    at(y + j) = here;
  }
}

template <class T>
void add_outer(std::int64_t count, const std::int32_t* columns, const T* weights, T weight, const T* fixed,
               std::int64_t stride, std::int64_t dim, const T* p, T* y) {
  constexpr int kRows = 4;
  std::int64_t k = 0;
  const auto w = [&] { return weights ? weights + k : nullptr; };
  for (; k + kRows <= count; k += kRows) {
    for (std::int64_t ahead = k + kRows; ahead < k + 2 * kRows && ahead < count; ++ahead)
      for (std::int64_t j = 0; j < dim; j += kAlsLine / static_cast<std::int64_t>(sizeof(T)))
        __builtin_prefetch(fixed + columns[ahead] * stride + j);
    outer_rows<kRows>(columns + k, w(), weight, fixed, stride, dim, p, y);
  }
  for (; k < count; ++k) outer_rows<1>(columns + k, w(), weight, fixed, stride, dim, p, y);
}

template <class T>
void add_targets(std::int64_t count, const std::int32_t* columns, const T* targets, const T* weights, T weight,
                 T offset, const T* fixed, std::int64_t stride, std::int64_t dim, T* y) {
  for (std::int64_t k = 0; k < count; ++k) {
    const T* const f = fixed + columns[k] * stride;
    const Vector<T> t = (targets ? targets[k] : (weights ? weights[k] : weight) + offset) - Vector<T>{};
    for (std::int64_t j = 0; j < dim; j += lanes<T>) at(y + j) += t * at(f + j);
  }
}

template <class T>
T dot(std::int64_t dim, const T* a, const T* b) {
  Vector<T> sum[2] = {};
  std::int64_t j = 0;
  for (; j + 2 * lanes<T> <= dim; j += 2 * lanes<T>) {
    sum[0] += at(a + j) * at(b + j);
    sum[1] += at(a + j + lanes<T>) * at(b + j + lanes<T>);
  }
  for (; j < dim; j += lanes<T>) sum[0] += at(a + j) * at(b + j);
  return total<T>(sum[0] + sum[1]);
}

template <class T>
void axpby(std::int64_t dim, T a, const T* x, T b, T* y) {
  const Vector<T> va = a - Vector<T>{}, vb = b - Vector<T>{};
  for (std::int64_t j = 0; j < dim; j += lanes<T>) at(y + j) = va * at(x + j) + vb * at(static_cast<const T*>(y + j));
}

/// Row by row: the entries right of what is done are zeroed first, so that every dot product runs over whole vectors.
template <class T>
std::int64_t solve(std::int64_t dim, T* a, std::int64_t stride, T* b) {
  for (std::int64_t i = 0; i < dim; ++i) {
    T* const row = a + i * stride;
    T saved[kAlsLine / sizeof(T)];  // what is not done yet of the vectors that hold column j
    constexpr std::int64_t width = kAlsLine / static_cast<std::int64_t>(sizeof(T));
    for (std::int64_t begin = 0; begin <= i; begin += width) {
      const std::int64_t end = std::min(begin + width, i + 1);
      for (std::int64_t j = begin; j < begin + width; ++j) saved[j - begin] = j < end ? row[j] : T(0), row[j] = T(0);
      for (std::int64_t j = begin; j < end; ++j) {
        const T rest = saved[j - begin] - dot<T>(begin + width, row, a + j * stride);
        if (j < i) {
          row[j] = rest / a[j * stride + j];
        } else {
          if (!(rest > T(0))) return i;
          row[i] = std::sqrt(rest);
        }
      }
    }
  }
  for (std::int64_t i = 0; i < dim; ++i) {
    T rest = b[i];
    for (std::int64_t j = 0; j < i; ++j) rest -= a[i * stride + j] * b[j];
    b[i] = rest / a[i * stride + i];
  }
  for (std::int64_t i = dim - 1; i >= 0; --i) {
    b[i] /= a[i * stride + i];
    for (std::int64_t j = 0; j < i; ++j) b[j] -= a[i * stride + j] * b[i];
  }
  return -1;
}

template <class T>
constexpr AlsKernel<T> kernel{add_outer<T>, add_targets<T>, dot<T>, axpby<T>, solve<T>};
