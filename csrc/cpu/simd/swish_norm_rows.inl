// Bodies of swish_norm_rows.hpp.

#include "exponential.inl"

/// 1 / (1 + exp(-t)), by an exponential that cannot overflow.
template <class T>
FASTLAE_INLINE Vector<T> logistic(const Vector<T>& t) {
  const Vector<T> e = exponential<T>(t < T(0) ? t : -t);
  const Vector<T> larger = T(1) / (T(1) + e);
  return t < T(0) ? e * larger : larger;
}

template <class T>
void swish_norm_forward(std::int64_t n, const T* x, const T* layer_bias, const T* residual, const T* weight,
                        const T* bias, T eps, T* y, T* total_row, T* mean, T* scale) {
  using V = Vector<T>;
  V sum{}, squares{};
  for_pieces<T>(n, [&](auto piece) {
    V t = piece.of(x);
    if (layer_bias) t += piece.of(layer_bias);
    if (residual) t += piece.of(residual);
    const V s = t * logistic<T>(t);
    piece.to(y, s);
    sum += s;
  });
  const T middle = total<T>(sum) / static_cast<T>(n);
  for_pieces<T>(n, [&](auto piece) {
    const V away = piece.of(y, middle) - middle;
    squares += away * away;
  });
  const T variance = total<T>(squares) / static_cast<T>(n);
  // A variance beyond the numbers of T must not look like a row of zeros.
  const T factor = std::isinf(variance) ? std::numeric_limits<T>::quiet_NaN() : T(1) / std::sqrt(variance + eps);
  for_pieces<T>(n, [&](auto piece) {
    const V value = (piece.of(y) - middle) * factor * piece.of(weight) + piece.of(bias);
    piece.to(y, value);
    if (total_row) piece.to(total_row, residual ? piece.of(residual) + value : value);
  });
  *mean = middle;
  *scale = factor;
}

template <class T>
void swish_norm_backward(std::int64_t n, const T* dy, const T* dtotal, const T* x, const T* layer_bias,
                         const T* residual, const T* weight, T mean, T scale, T* dx, T* dresidual, T* dweight, T* dbias,
                         T* dlayer_bias, T* scratch) {
  using V = Vector<T>;
  T *const normal = scratch, *const slope = scratch + n;
  V sum{}, along{};
  for_pieces<T>(n, [&](auto piece) {
    V t = piece.of(x);
    if (layer_bias) t += piece.of(layer_bias);
    if (residual) t += piece.of(residual);
    const V share = logistic<T>(t), s = t * share;
    const V away = (s - mean) * scale;
    V given = piece.of(dy);
    if (dtotal) given += piece.of(dtotal);
    const V g = given * piece.of(weight);
    sum += g;
    along += g * away;
    piece.to(dweight, piece.of(dweight) + given * away);
    piece.to(dbias, piece.of(dbias) + given);
    piece.to(normal, away);
    piece.to(slope, (share + s * (T(1) - share)) * scale);
    piece.to(dx, g);
  });
  const T part = total<T>(sum) / static_cast<T>(n), parallel = total<T>(along) / static_cast<T>(n);
  for_pieces<T>(n, [&](auto piece) {
    const V change = (piece.of(dx) - part - piece.of(normal) * parallel) * piece.of(slope);
    piece.to(dx, change);
    if (dlayer_bias) piece.to(dlayer_bias, piece.of(dlayer_bias) + change);
    if (dresidual) piece.to(dresidual, dtotal ? change + piece.of(dtotal) : change);
  });
}

template <class T>
constexpr SwishNormKernel<T> swish_norm{swish_norm_forward<T>, swish_norm_backward<T>};
