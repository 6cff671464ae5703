// Bodies of softmax_rows.hpp.

#include "exponential.inl"

template <class T>
FASTLAE_INLINE T largest(const Vector<T>& v) {
  T best = v[0];
  for (int l = 1; l < lanes<T>; ++l) best = v[l] > best ? v[l] : best;
  return best;
}

template <bool kBiased, class T>
FASTLAE_INLINE T find_max(std::int64_t n, const T* z, const T* bias, T* out) {
  using V = Vector<T>;
  constexpr T lowest = -std::numeric_limits<T>::infinity();
  V best[2] = {lowest - V{}, lowest - V{}};
  const auto take = [&](V& to, V value) { to = value > to ? value : to; };
  std::int64_t i = 0;
  for (; i + 2 * lanes<T> <= n; i += 2 * lanes<T>) {
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const std::int64_t at = i + half * lanes<T>;
      V value = read<T>(z + at);
      if constexpr (kBiased) write<T>(out + at, value += read<T>(bias + at));
      take(best[half], value);
    }
  }
  for (; i < n; i += lanes<T>) {
    const std::int64_t left = n - i;
    V value = read_tail<T>(z + i, left, lowest);
    if constexpr (kBiased) write_tail<T>(out + i, left, value += read_tail<T>(bias + i, left, T(0)));
    take(best[0], value);
  }
  take(best[0], best[1]);
  return largest<T>(best[0]);
}

template <class T>
T max(std::int64_t n, const T* z) {
  return find_max<false, T>(n, z, nullptr, nullptr);
}

template <class T>
T add_max(std::int64_t n, const T* bias, T* z) {
  return find_max<true, T>(n, z, bias, z);
}

template <bool kWritten, class T>
FASTLAE_INLINE T exponentials(std::int64_t n, const T* z, T shift, T* out) {
  using V = Vector<T>;
  constexpr int kAtOnce = 4;  // an exponential is a chain of a dozen operations: so many chains at a time
  V sum[kAtOnce] = {};
  std::int64_t i = 0;
  for (; i + kAtOnce * lanes<T> <= n; i += kAtOnce * lanes<T>) {
#pragma GCC unroll 4
    for (int k = 0; k < kAtOnce; ++k) {
      const V value = exponential<T>(read<T>(z + i + k * lanes<T>) - shift);
      if constexpr (kWritten) write<T>(out + i + k * lanes<T>, value);
      sum[k] += value;
    }
  }
  for (; i < n; i += lanes<T>) {
    const V value = exponential<T>(read_tail<T>(z + i, n - i, -std::numeric_limits<T>::infinity()) - shift);
    if constexpr (kWritten) write_tail<T>(out + i, n - i, value);
    sum[0] += value;
  }
  return total<T>((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

template <class T>
T sum_exp(std::int64_t n, const T* z, T shift) {
  return exponentials<false, T>(n, z, shift, nullptr);
}

template <class T>
T exp_sum(std::int64_t n, const T* z, T shift, T* out) {
  return exponentials<true, T>(n, z, shift, out);
}

template <bool kBiased, class T>
FASTLAE_INLINE void scaled(std::int64_t n, const T* z, const T* bias, T shift, T scale, T* out) {
  using V = Vector<T>;
  std::int64_t i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) {
    V value = read<T>(z + i);
    if constexpr (kBiased) value += read<T>(bias + i);
    write<T>(out + i, scale * exponential<T>(value - shift));
  }
  if (i == n) return;
  V value = read_tail<T>(z + i, n - i, T(0));
  if constexpr (kBiased) value += read_tail<T>(bias + i, n - i, T(0));
  write_tail<T>(out + i, n - i, scale * exponential<T>(value - shift));
}

template <class T>
void scaled_exp(std::int64_t n, const T* z, const T* bias, T shift, T scale, T* out) {
  if (scale == T(0))
    std::fill_n(out, n, T(0));
  else if (bias)
    scaled<true, T>(n, z, bias, shift, scale, out);
  else
    scaled<false, T>(n, z, bias, shift, scale, out);
}

template <class T>
void add(std::int64_t n, const T* z, T* sum) {
  std::int64_t i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) write<T>(sum + i, read<T>(sum + i) + read<T>(z + i));
  for (; i < n; ++i) sum[i] += z[i];
}

template <class T>
void multiply(std::int64_t n, T scale, T* z) {
  std::int64_t i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) write<T>(z + i, scale * read<T>(z + i));
  for (; i < n; ++i) z[i] *= scale;
}

template <class T>
constexpr SoftmaxKernel<T> softmax{max<T>, add_max<T>, sum_exp<T>, exp_sum<T>, scaled_exp<T>, add<T>, multiply<T>};
