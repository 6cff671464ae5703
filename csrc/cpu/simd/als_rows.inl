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

/// Row j of the upper triangle -= sum over q < Count of u[q][j] u[q]: what lies left of the diagonal in the same vector
/// becomes something that nobody reads.
template <int Count, class T>
FASTLAE_INLINE void take_away(std::int64_t dim, T* const* u, std::int64_t j, T* row) {
  Vector<T> scale[Count];
#pragma GCC unroll 4
  for (int q = 0; q < Count; ++q) scale[q] = u[q][j] - Vector<T>{};
  for (std::int64_t c = j / lanes<T> * lanes<T>; c < dim; c += lanes<T>) {
    Vector<T> here = at(static_cast<const T*>(row + c));
#pragma GCC unroll 4
    for (int q = 0; q < Count; ++q) here -= scale[q] * at(static_cast<const T*>(u[q] + c));
    at(row + c) = here;
  }
}

/// A = U^T U, four rows of U at a time: every other row is read and written once for four.
template <class T>
std::int64_t solve(std::int64_t dim, T* a, std::int64_t stride, T* b) {
  constexpr std::int64_t kTogether = 4;
  for (std::int64_t i = 0; i < dim; ++i)
    for (std::int64_t j = 0; j < i; ++j) a[j * stride + i] = a[i * stride + j];
  for (std::int64_t first = 0; first < dim; first += kTogether) {  // dim is a multiple of it
    T* u[kTogether];
    for (std::int64_t q = 0; q < kTogether; ++q) {
      const std::int64_t k = first + q;
      T* const row = u[q] = a + k * stride;
      if (!(row[k] > T(0))) return k;
      const T scale = T(1) / std::sqrt(row[k]);
      for (std::int64_t c = k / lanes<T> * lanes<T>; c < dim; c += lanes<T>) at(row + c) *= scale - Vector<T>{};
      for (std::int64_t j = k + 1; j < first + kTogether; ++j) take_away<1>(dim, u + q, j, a + j * stride);
    }
    for (std::int64_t j = first + kTogether; j < dim; ++j) take_away<kTogether>(dim, u, j, a + j * stride);
  }
  const auto whole = [](std::int64_t i) { return (i + lanes<T>) / lanes<T> * lanes<T>; };  // the next vector
  for (std::int64_t i = 0; i < dim; ++i) {
    const T* const row = a + i * stride;
    b[i] /= row[i];
    for (std::int64_t j = i + 1; j < whole(i); ++j) b[j] -= row[j] * b[i];
    const Vector<T> scale = b[i] - Vector<T>{};
    for (std::int64_t c = whole(i); c < dim; c += lanes<T>) at(b + c) -= scale * at(row + c);
  }
  for (std::int64_t i = dim - 1; i >= 0; --i) {
    const T* const row = a + i * stride;
    T rest = b[i];
    for (std::int64_t j = i + 1; j < whole(i); ++j) rest -= row[j] * b[j];
    b[i] = (rest - dot<T>(dim - whole(i), row + whole(i), b + whole(i))) / row[i];
  }
  return -1;
}

template <class T>
constexpr AlsKernel<T> kernel{add_outer<T>, add_targets<T>, dot<T>, axpby<T>, solve<T>};
