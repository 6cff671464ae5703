// Errors that kernels raise. Everything a caller can get wrong is checked before a kernel is called;
// these are what only the computation itself can find out.
#pragma once

#include <cstdint>
#include <stdexcept>

namespace fastlae {

/// The matrix has no Cholesky factor: the pivot of row `index` is not positive (or not a number).
class NotPositiveDefinite : public std::runtime_error {
 public:
  explicit NotPositiveDefinite(std::int64_t row) : std::runtime_error("matrix is not positive definite"), index(row) {}
  std::int64_t index;
};

/// The caller asked a running kernel to stop.
class Cancelled : public std::runtime_error {
 public:
  Cancelled() : std::runtime_error("cancelled") {}
};

}  // namespace fastlae
