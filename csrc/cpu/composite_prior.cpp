#include "fastlae/composite_prior.hpp"

#include <cstdint>

#include "parallel.hpp"
#include "simd/composite_prior_rows.hpp"

namespace fastlae {

using std::int64_t;

namespace {

constexpr int64_t kRows = 32;  // a task's

template <class T>
simd::PriorConstants<T> constants(const PriorParts& parts) {
  simd::PriorConstants<T> found;
  for (int c = 0; c < 3; ++c) found.log_weights[c] = static_cast<T>(parts.log_weights[c]);
  found.wide_logvar = static_cast<T>(parts.wide_logvar);
  return found;
}

}  // namespace

template <class T>
void composite_prior(MatrixView<const T> z, MatrixView<const T> mu, MatrixView<const T> logvar, const PriorParts& parts,
                     T* density, const Context& context) {
  const auto& kernel = simd::composite_prior_kernel<T>();
  const auto given = constants<T>(parts);
  parallel_for(context, z.rows, kRows, [&](int64_t begin, int64_t end, int) {
    for (int64_t u = begin; u < end; ++u)
      density[u] =
          static_cast<T>(kernel.log_density(z.cols, z.row(u), mu.row(u), logvar.row(u), given, parts.per_coordinate));
  });
}

template <class T>
void composite_prior_backward(const T* grad, MatrixView<const T> z, MatrixView<const T> mu, MatrixView<const T> logvar,
                              const PriorParts& parts, MatrixView<T> dz, MatrixView<T> dmu, MatrixView<T> dlogvar,
                              const Context& context) {
  const auto& kernel = simd::composite_prior_kernel<T>();
  const auto given = constants<T>(parts);
  parallel_for(context, z.rows, kRows, [&](int64_t begin, int64_t end, int) {
    for (int64_t u = begin; u < end; ++u)
      kernel.gradient(z.cols, grad[u], z.row(u), mu.row(u), logvar.row(u), given, parts.per_coordinate, dz.row(u),
                      dmu.rows > 0 ? dmu.row(u) : nullptr, dlogvar.rows > 0 ? dlogvar.row(u) : nullptr);
  });
}

#define FASTLAE_INSTANTIATE(T)                                                                                       \
  template void composite_prior<T>(MatrixView<const T>, MatrixView<const T>, MatrixView<const T>, const PriorParts&, \
                                   T*, const Context&);                                                              \
  template void composite_prior_backward<T>(const T*, MatrixView<const T>, MatrixView<const T>, MatrixView<const T>, \
                                            const PriorParts&, MatrixView<T>, MatrixView<T>, MatrixView<T>,          \
                                            const Context&);
FASTLAE_INSTANTIATE(float)
FASTLAE_INSTANTIATE(double)

}  // namespace fastlae
