// The little that the native tests need: checks that count failures, numbers that are the same everywhere, and
// matrices that end where their last element ends, so that AddressSanitizer sees one read too many.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

#include "fastlae/context.hpp"
#include "fastlae/views.hpp"
#include "simd/gemm.hpp"
#include "simd/isa.hpp"

namespace fastlae::test {

inline int failures = 0;

#define CHECK(condition, ...)                                     \
  do {                                                            \
    if (!(condition)) {                                           \
      ++::fastlae::test::failures;                                \
      std::printf("%s:%d: %s: ", __FILE__, __LINE__, #condition); \
      std::printf(__VA_ARGS__);                                   \
      std::printf("\n");                                          \
    }                                                             \
  } while (false)

/// Numbers in [-1, 1): splitmix64.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  std::int64_t below(std::int64_t n) { return static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(n)); }
  double operator()() { return static_cast<double>(next() >> 11) / static_cast<double>(1ull << 52) - 1; }

 private:
  std::uint64_t state_;
};

/// A matrix with `gap` elements between its rows, which hold a mark that nobody may change.
template <class T>
class Matrix {
 public:
  Matrix(std::int64_t rows, std::int64_t cols, std::int64_t gap = 0)
      : rows_(rows),
        cols_(cols),
        stride_(cols + gap),
        memory_(static_cast<std::size_t>(rows > 0 && cols > 0 ? (rows - 1) * stride_ + cols : 0), T(kMark)) {}

  MatrixView<T> view() { return {memory_.empty() ? nullptr : memory_.data(), rows_, cols_, stride_}; }
  T& operator()(std::int64_t i, std::int64_t j) { return memory_[static_cast<std::size_t>(i * stride_ + j)]; }
  bool intact() const {
    for (std::size_t at = 0; at < memory_.size(); ++at)
      if (static_cast<std::int64_t>(at) % stride_ >= cols_ && !(memory_[at] == T(kMark))) return false;
    return true;
  }
  bool same_bits(const Matrix& other) const {
    for (std::size_t at = 0; at < memory_.size(); ++at)
      if (!(memory_[at] == other.memory_[at])) return false;
    return memory_.size() == other.memory_.size();
  }

 private:
  static constexpr double kMark = 12345;
  std::int64_t rows_, cols_, stride_;
  std::vector<T> memory_;
};

template <class T>
struct Csr {
  std::vector<std::int64_t> indptr{0};
  std::vector<std::int32_t> indices;
  std::vector<T> values;
};

/// Popular columns first in every third place, every fifth row and every seventh column empty.
template <class T>
Csr<T> interactions(std::int64_t users, std::int64_t items, double density, Random& random) {
  Csr<T> x;
  for (std::int64_t u = 0; u < users; ++u) {
    for (std::int64_t i = 0; i < items; ++i)
      if (u % 5 != 3 && i % 7 != 2 && (random() + 1) / 2 < density * (i % 3 == 0 ? 3 : 1)) {
        x.indices.push_back(static_cast<std::int32_t>(i));
        x.values.push_back(static_cast<T>(random()));
      }
    x.indptr.push_back(static_cast<std::int64_t>(x.indices.size()));
  }
  return x;
}

/// Ends a program as skipped where the processor lacks the instruction set that FASTLAE_ISA asks for: a lower one has a
/// run of its own.
struct SkipWithoutIsa {
  SkipWithoutIsa() {
    const char* const asked = std::getenv("FASTLAE_ISA");
    const char* const there = simd::name(simd::active_isa());
    if (!asked || std::strcmp(asked, there) == 0) return;
    std::printf("skipped: %s is not there, only %s\n", asked, there);
    std::exit(77);  // SKIP_RETURN_CODE
  }
};
inline const SkipWithoutIsa skip_without_isa;

inline Context context(int threads) {
  Context result;
  result.num_threads = threads;
  return result;
}

/// The exit status, after a line that says what was run.
inline int report(const char* what) {
  std::printf("%s on %s: %d failure(s)\n", what, simd::name(simd::active_isa()), failures);
  return failures == 0 ? 0 : 1;
}

}  // namespace fastlae::test
