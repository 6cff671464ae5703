// What the kernels of this folder share, on the device and in the emulation: launches, memory, small device functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "fastlae/cuda/device.hpp"
#include "fastlae/views.hpp"

#ifdef __CUDACC__
#include <cuda_runtime.h>
#else
#include "emulation.hpp"
#endif

// Dynamic shared memory as an array of T.
#ifdef __CUDACC__
#define FASTLAE_DYNAMIC_SHARED(T, name)                                         \
  extern __shared__ __align__(16) unsigned char fastlae_dynamic_shared_bytes[]; \
  T* const name = reinterpret_cast<T*>(fastlae_dynamic_shared_bytes)
#else
#define FASTLAE_DYNAMIC_SHARED(T, name) \
  T* const name = reinterpret_cast<T*>(::fastlae::cuda::emulation::Block::current().shared.data())
#endif

#ifdef __CUDACC__
#define FASTLAE_UNROLL _Pragma("unroll")
#define FASTLAE_UNROLL_BY_4 _Pragma("unroll 4")
#else
#define FASTLAE_UNROLL
#define FASTLAE_UNROLL_BY_4
#endif

namespace fastlae::cuda {

constexpr unsigned kFullMask = ~0u;
constexpr int kWarpSize = 32;

inline std::int64_t blocks_for(std::int64_t count, std::int64_t block) {
  return (count + block - 1) / block;
}

/// A grid dimension that the hardware allows; kernels stride over what it does not cover.
inline unsigned grid_size(std::int64_t blocks, std::int64_t most = 65535) {
  return static_cast<unsigned>(blocks < 1 ? 1 : blocks > most ? most : blocks);
}

inline std::int64_t aligned(std::int64_t bytes) {
  return (bytes + 255) / 256 * 256;
}

/// Cuts a workspace into arrays.
class Arena {
 public:
  explicit Arena(const DeviceContext& context)
      : next_(static_cast<char*>(context.workspace)), left_(context.workspace_bytes) {}
  template <class T>
  T* take(std::int64_t count) {
    const std::int64_t bytes = aligned(count * static_cast<std::int64_t>(sizeof(T)));
    if (bytes > left_) throw CudaError(0, "the workspace is too small");
    T* const result = reinterpret_cast<T*>(next_);
    next_ += bytes;
    left_ -= bytes;
    return result;
  }

 private:
  char* next_;
  std::int64_t left_;
};

#ifdef __CUDACC__

inline cudaStream_t stream_of(const DeviceContext& context) {
  return static_cast<cudaStream_t>(context.stream);
}

/// Raises CudaError unless `error` is cudaSuccess, and clears it.
inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();
  throw CudaError(error, std::string(what) + ": " + cudaGetErrorString(error));
}

template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, std::int64_t shared, const DeviceContext& context, A... args) {
  if (shared > (32 << 10))  // 48 KB need no leave, static shared memory included
    check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(shared)),
          "shared memory of a block");
  kernel<<<grid, block, static_cast<std::size_t>(shared), stream_of(context)>>>(static_cast<P>(args)...);
  check(cudaGetLastError(), "kernel launch");
}

inline void set_bytes(void* to, int value, std::int64_t bytes, const DeviceContext& context) {
  check(cudaMemsetAsync(to, value, static_cast<std::size_t>(bytes), stream_of(context)), "cudaMemsetAsync");
}

#else

template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, std::int64_t shared, const DeviceContext&, A... args) {
  emulation::Block& now = emulation::Block::current();
  now.grid = grid;
  now.block = block;
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) {
        now.block_index = dim3(x, y, z);
        now.shared.assign(static_cast<std::size_t>(shared), 0xA5);  // nobody may count on zeros
        now.run([&] { kernel(static_cast<P>(args)...); });
      }
}

inline void set_bytes(void* to, int value, std::int64_t bytes, const DeviceContext&) {
  std::memset(to, value, static_cast<std::size_t>(bytes));
}

#endif

template <class T>
__device__ __forceinline__ T smaller(T a, T b) {
  return b < a ? b : a;
}

/// The first position in [begin, end) whose entry is not less than `value`; the entries ascend.
__device__ __forceinline__ std::int64_t lower_bound(const std::int32_t* entries, std::int64_t begin, std::int64_t end,
                                                    std::int64_t value) {
  while (begin < end) {
    const std::int64_t middle = begin + (end - begin) / 2;
    if (entries[middle] < value)
      begin = middle + 1;
    else
      end = middle;
  }
  return begin;
}

template <class T>
__device__ __forceinline__ T warp_max(T value) {
  for (int mask = kWarpSize / 2; mask > 0; mask /= 2) {
    const T other = __shfl_xor_sync(kFullMask, value, mask);
    value = other > value ? other : value;
  }
  return value;
}

/// worst <- max(worst, most), with NaN, which `finite` = false stands for, above all. Every lane of a warp calls it.
__device__ __forceinline__ void raise_to(unsigned long long* worst, double most, bool finite, int lane) {
  union {  // numbers of at least 0 are ordered as their bits are
    double number;
    unsigned long long bits;
  } own;
  own.number = most;
  const unsigned long long bits = warp_max(finite ? own.bits : 0x7ff8000000000000ull);
  if (lane == 0 && bits > *static_cast<volatile unsigned long long*>(worst)) atomicMax(worst, bits);
}

}  // namespace fastlae::cuda
