// Compiles the file named by FASTLAE_BODY once per instruction set, into namespaces baseline, avx2 and avx512 of the
// namespace that includes this file. The body may use kBytes (of a vector), Vector<T>, lanes<T> and kRegisters, and
// must include nothing.

namespace baseline {
constexpr std::size_t kBytes = 16;
#if defined(__x86_64__)
constexpr int kRegisters = 16;
#else
constexpr int kRegisters = 32;
#endif
template <class T>
using Vector = typename ::fastlae::simd::VectorOf<T, kBytes>::type;
template <class T>
constexpr int lanes = kBytes / sizeof(T);
#include FASTLAE_BODY
}  // namespace baseline

#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("arch=x86-64-v3"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#endif
namespace avx2 {
constexpr std::size_t kBytes = 32;
constexpr int kRegisters = 16;
template <class T>
using Vector = typename ::fastlae::simd::VectorOf<T, kBytes>::type;
template <class T>
constexpr int lanes = kBytes / sizeof(T);
#include FASTLAE_BODY
}  // namespace avx2
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("arch=x86-64-v4"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4")
#endif
namespace avx512 {
constexpr std::size_t kBytes = 64;
constexpr int kRegisters = 32;
template <class T>
using Vector = typename ::fastlae::simd::VectorOf<T, kBytes>::type;
template <class T>
constexpr int lanes = kBytes / sizeof(T);
#include FASTLAE_BODY
}  // namespace avx512
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
#undef FASTLAE_BODY
