#include "gemm.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

#include "isa.hpp"

namespace fastlae::simd {

namespace {

using std::int64_t;

// Cache blocks, in elements: a micro-panel of B (register tile wide, kDepth deep) half fills L1, the block of A sits in
// L2 and the panel of B behind it.
constexpr int64_t kDepth = 320;
constexpr int64_t kRows = 192;
constexpr int64_t kCols = 1024;

/// Scratch for one block of A and one panel of B, aligned to cache lines, kept for the life of the thread.
template <class T>
struct Scratch {
  static constexpr int64_t slack = 64;
  Scratch()
      : memory(
            static_cast<T*>(::operator new(sizeof(T) * (kRows + kCols + 2 * slack) * kDepth, std::align_val_t(64)))) {}
  ~Scratch() { ::operator delete(memory, std::align_val_t(64)); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* a() { return memory; }
  T* b() { return memory + (kRows + slack) * kDepth; }
  T* memory;
};

#define FASTLAE_BODY "gemm.inl"
#include "for_each_isa.inl"

}  // namespace

template <>
const GemmKernel<float>& gemm_kernel<float>() {
  return FASTLAE_PICK(kernel<float>);
}

template <>
const GemmKernel<double>& gemm_kernel<double>() {
  return FASTLAE_PICK(kernel<double>);
}

}  // namespace fastlae::simd
