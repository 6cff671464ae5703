// Bodies of composite_prior_rows.hpp.

#include "exponential.inl"

/// Of some coordinates: the logarithm of every part's weighted density, and what gradients take from there.
template <class T>
struct PriorPieces {
  Vector<T> logs[3], precision, away;
};

template <class T, class P>
FASTLAE_INLINE PriorPieces<T> prior_pieces(P piece, const T* z_row, const T* mu, const T* logvar, const T* constants,
                                           T wide_precision) {
  using V = Vector<T>;
  const V z = piece.of(z_row), spread = piece.of(logvar);
  const V negative = -spread, most = Exp<T>::most - V{};
  PriorPieces<T> found;
  found.away = z - piece.of(mu);
  found.precision = exponential<T>(negative > most ? most : negative);
  found.logs[0] = constants[0] - T(0.5) * z * z;
  found.logs[1] = constants[1] - T(0.5) * (spread + found.away * found.away * found.precision);
  found.logs[2] = constants[2] - T(0.5) * wide_precision * z * z;
  return found;
}

/// The part of the logarithms that is the same everywhere, with the weights or without.
template <class T>
FASTLAE_INLINE void prior_constants(const PriorConstants<T>& parts, bool weighted, T* constants) {
  constexpr T half_log_2pi = T(0.918938533204672742);
  for (int c = 0; c < 3; ++c) constants[c] = (weighted ? parts.log_weights[c] : T(0)) - half_log_2pi;
  constants[2] -= T(0.5) * parts.wide_logvar;
}

/// log(exp(a[0]) + exp(a[1]) + exp(a[2])) and the three shares.
FASTLAE_INLINE double mixed(const double* a, double* shares) {
  const double most = std::max(a[0], std::max(a[1], a[2]));
  double sum = 0;
  for (int c = 0; c < 3; ++c) sum += shares[c] = std::exp(a[c] - most);
  for (int c = 0; c < 3; ++c) shares[c] /= sum;
  return most + std::log(sum);
}

/// The joint density's logarithm of every part.
template <class T>
FASTLAE_INLINE void joint_logs(std::int64_t n, const T* z, const T* mu, const T* logvar, const PriorConstants<T>& parts,
                               double* logs) {
  using V = Vector<T>;
  T constants[3];
  prior_constants<T>(parts, false, constants);
  const T wide_precision = std::exp(std::min(-parts.wide_logvar, Exp<T>::most));
  for (int c = 0; c < 3; ++c) logs[c] = static_cast<double>(parts.log_weights[c]);
  // Sums of a few thousand coordinates at a time, so that they lose no digits in float.
  constexpr std::int64_t stretch = 64 * lanes<T>;
  for (std::int64_t begin = 0; begin < n; begin += stretch) {
    V sums[3] = {};
    const std::int64_t length = std::min(stretch, n - begin);
    for_pieces<T>(length, [&](auto piece) {
      const auto found = prior_pieces<T>(piece, z + begin, mu + begin, logvar + begin, constants, wide_precision);
      for (int c = 0; c < 3; ++c) sums[c] += found.logs[c];
    });
    const std::int64_t filled =
        (length + lanes<T> - 1) / lanes<T> * lanes<T> - length;  // each with the constants alone
    for (int c = 0; c < 3; ++c)
      logs[c] +=
          static_cast<double>(total<T>(sums[c])) - static_cast<double>(filled) * static_cast<double>(constants[c]);
  }
}

template <class T>
double prior_log_density(std::int64_t n, const T* z, const T* mu, const T* logvar, const PriorConstants<T>& parts,
                         bool per_coordinate) {
  using V = Vector<T>;
  if (!per_coordinate) {
    double logs[3], shares[3];
    joint_logs<T>(n, z, mu, logvar, parts, logs);
    return mixed(logs, shares);
  }
  T constants[3];
  prior_constants<T>(parts, true, constants);
  const T wide_precision = std::exp(std::min(-parts.wide_logvar, Exp<T>::most));
  double sum = 0;
  // With the largest part taken out, a coordinate leaves a factor from 1 to 3: of 64 of them there is one logarithm.
  constexpr std::int64_t stretch = 64 * lanes<T>;
  for (std::int64_t begin = 0; begin < n; begin += stretch) {
    V largest{}, factors = V{} + T(1);
    const std::int64_t length = std::min(stretch, n - begin);
    const auto add = [&](auto piece, const V& used) {
      const auto found = prior_pieces<T>(piece, z + begin, mu + begin, logvar + begin, constants, wide_precision);
      const V* const l = found.logs;
      V most = l[0] > l[1] ? l[0] : l[1];
      most = most > l[2] ? most : l[2];
      const V rest = exponential<T>(l[0] - most) + exponential<T>(l[1] - most) + exponential<T>(l[2] - most);
      largest += used * most;
      factors *= used * (rest - T(1)) + T(1);
    };
    std::int64_t i = 0;
    for (; i + lanes<T> <= length; i += lanes<T>) add(Piece<T, true>{i, lanes<T>}, V{} + T(1));
    if (i < length) {
      V used{};
      for (int l = 0; l < length - i; ++l) used[l] = T(1);
      add(Piece<T, false>{i, length - i}, used);
    }
    sum += static_cast<double>(total<T>(largest));
    for (int l = 0; l < lanes<T>; ++l) sum += std::log(static_cast<double>(factors[l]));
  }
  return sum;
}

template <class T>
void prior_gradient(std::int64_t n, T grad, const T* z, const T* mu, const T* logvar, const PriorConstants<T>& parts,
                    bool per_coordinate, T* dz, T* dmu, T* dlogvar) {
  using V = Vector<T>;
  T constants[3];
  prior_constants<T>(parts, true, constants);
  const T wide_precision = std::exp(std::min(-parts.wide_logvar, Exp<T>::most));
  double logs[3], joint[3] = {};
  if (!per_coordinate) {
    joint_logs<T>(n, z, mu, logvar, parts, logs);
    mixed(logs, joint);
  }
  for_pieces<T>(n, [&](auto piece) {
    const auto found = prior_pieces<T>(piece, z, mu, logvar, constants, wide_precision);
    V shares[3];
    if (per_coordinate) {
      const V* const l = found.logs;
      V most = l[0] > l[1] ? l[0] : l[1];
      most = most > l[2] ? most : l[2];
      for (int c = 0; c < 3; ++c) shares[c] = exponential<T>(l[c] - most);
      const V scale = grad / (shares[0] + shares[1] + shares[2]);
      for (int c = 0; c < 3; ++c) shares[c] *= scale;
    } else {
      for (int c = 0; c < 3; ++c) shares[c] = grad * static_cast<T>(joint[c]) - V{};
    }
    // Far from a narrow part the slope is beyond the numbers of T, and the share is 0.
    const V none{}, slope = shares[1] == T(0) ? none : found.away * found.precision, old = shares[1] * slope;
    piece.to(dz, -piece.of(z) * (shares[0] + shares[2] * wide_precision) - old);
    if (dmu) piece.to(dmu, old);
    if (dlogvar) piece.to(dlogvar, T(0.5) * shares[1] * (slope * found.away - T(1)));
  });
}

template <class T>
constexpr CompositePriorKernel<T> composite_prior{prior_log_density<T>, prior_gradient<T>};
