// Reading rows to their last element, and exponentials: what the bodies that include this have in common.

template <class T>
using Bits = typename ::fastlae::simd::VectorOf<typename Exp<T>::Bits, kBytes>::type;

template <class T>
FASTLAE_INLINE Vector<T> read(const T* from) {
  return *reinterpret_cast<const Vector<T>*>(from);
}
template <class T>
FASTLAE_INLINE void write(T* to, const Vector<T>& v) {
  *reinterpret_cast<Vector<T>*>(to) = v;
}

/// The next `count` elements of a row, or as many as a vector has; a shorter one is filled up with `other`.
template <class T>
FASTLAE_INLINE Vector<T> read_tail(const T* from, std::int64_t count, T other) {
  T lane[lanes<T>];
  for (int l = 0; l < lanes<T>; ++l) lane[l] = l < count ? from[l] : other;
  return read<T>(lane);
}
template <class T>
FASTLAE_INLINE void write_tail(T* to, std::int64_t count, const Vector<T>& v) {
  T lane[lanes<T>];
  write<T>(lane, v);
  for (int l = 0; l < lanes<T> && l < count; ++l) to[l] = lane[l];
}

/// 1 / k!, from the last coefficient of the series to the first.
template <class T>
constexpr T reciprocal_factorial(int k) {
  T product = 1;
  for (int i = 2; i <= k; ++i) product *= static_cast<T>(i);
  return T(1) / product;
}

/// exp(x) for x of at most 88 (float) or 709 (double).
template <class T>
FASTLAE_INLINE Vector<T> exponential(const Vector<T>& argument) {
  using V = Vector<T>;
  using E = Exp<T>;
  const V least = E::least - V{};
  const V x = argument < least ? least : argument;  // NaN is not less
  const V shifted = x * E::inverse_log2 + E::round;
  const V n = shifted - E::round;
  const V r = (x - n * E::log2_high) - n * E::log2_low;
  V sum = reciprocal_factorial<T>(E::terms) - V{};
#pragma GCC unroll 16
  for (int k = E::terms - 1; k >= 0; --k) sum = sum * r + reciprocal_factorial<T>(k);
  // The lowest bits of `shifted` are n in two's complement; what is above them leaves the word.
  const Bits<T> power = ((Bits<T>)shifted + static_cast<typename E::Bits>(E::bias)) << E::mantissa;
  const V found = sum * (V)power;
  return argument < least ? V{} : found;
}

template <class T>
FASTLAE_INLINE T total(const Vector<T>& v) {
  T sum = v[0];
  for (int l = 1; l < lanes<T>; ++l) sum += v[l];
  return sum;
}

/// Some elements of a row from `at` on: as many as a vector has, or the `count` that are left at its end.
template <class T, bool kWhole>
struct Piece {
  std::int64_t at, count;

  /// A shorter piece is filled up with `other`.
  FASTLAE_INLINE Vector<T> of(const T* row, T other = T(0)) const {
    if constexpr (kWhole)
      return read<T>(row + at);
    else
      return read_tail<T>(row + at, count, other);
  }
  FASTLAE_INLINE void to(T* row, const Vector<T>& v) const {
    if constexpr (kWhole)
      write<T>(row + at, v);
    else
      write_tail<T>(row + at, count, v);
  }
};

/// Calls body(piece) for all pieces of a row of n elements.
template <class T, class Body>
FASTLAE_INLINE void for_pieces(std::int64_t n, const Body& body) {
  std::int64_t i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) body(Piece<T, true>{i, lanes<T>});
  if (i < n) body(Piece<T, false>{i, n - i});
}
