// Which instruction set a kernel runs on: decided once, at run time, in one place.
//
// A vector kernel is one body file (`<op>.inl`), written with the compiler's vector extensions. for_each_isa.inl
// compiles it once per instruction set, each in a namespace of its own; FASTLAE_PICK then takes the one to run. No file
// is compiled with flags that its machine may lack: the baseline is the platform's ABI (SSE2, NEON).
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastlae::simd {

enum class Isa { baseline = 0, avx2 = 1, avx512 = 2 };

/// The best set that this machine has, or the lower one that the variable FASTLAE_ISA names (for tests).
Isa active_isa();
const char* name(Isa isa);

/// A vector of `Bytes` bytes. Unaligned, and allowed to alias its elements' type.
template <class T, std::size_t Bytes>
struct VectorOf;
#define FASTLAE_VECTOR(T, BYTES)                                                        \
  template <>                                                                           \
  struct VectorOf<T, BYTES> {                                                           \
    typedef T type __attribute__((vector_size(BYTES), aligned(alignof(T)), may_alias)); \
  };
FASTLAE_VECTOR(float, 16)
FASTLAE_VECTOR(float, 32)
FASTLAE_VECTOR(float, 64)
FASTLAE_VECTOR(double, 16)
FASTLAE_VECTOR(double, 32)
FASTLAE_VECTOR(double, 64)
FASTLAE_VECTOR(std::uint32_t, 16)
FASTLAE_VECTOR(std::uint32_t, 32)
FASTLAE_VECTOR(std::uint32_t, 64)
FASTLAE_VECTOR(std::uint64_t, 16)
FASTLAE_VECTOR(std::uint64_t, 32)
FASTLAE_VECTOR(std::uint64_t, 64)
#undef FASTLAE_VECTOR

}  // namespace fastlae::simd

#define FASTLAE_INLINE inline __attribute__((always_inline))

#if defined(__x86_64__)
#define FASTLAE_PICK(...)                                                              \
  (::fastlae::simd::active_isa() == ::fastlae::simd::Isa::avx512 ? avx512::__VA_ARGS__ \
   : ::fastlae::simd::active_isa() == ::fastlae::simd::Isa::avx2 ? avx2::__VA_ARGS__   \
                                                                 : baseline::__VA_ARGS__)
#else
#define FASTLAE_PICK(...) baseline::__VA_ARGS__
#endif
