// One product on tensor cores by one warp, and what stands for it on the host.
#pragma once

#include "launch.cuh"

namespace fastlae::cuda {

/// sums += A B for a warp: A 16 x 32 and B 32 x 8 of unsigned bytes, sums in 32-bit integers, exactly.
///
/// Of lane 4 g + t, `a` holds bytes 4 t .. 4 t + 3 of row g, of row g + 8, then bytes 16 + 4 t .. of both rows; `b`
/// bytes 4 t .. and 16 + 4 t .. of column g; sums are those of rows g, g, g + 8, g + 8 and columns 2 t, 2 t + 1 by
/// turns. Whoever orders the 32 of A and of B alike has the same product.
__device__ __forceinline__ void multiply_bytes(std::int32_t (&sums)[4], const std::uint32_t (&a)[4],
                                               const std::uint32_t (&b)[2]) {
#ifdef __CUDACC__
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.u8.u8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]), "+r"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  static std::uint32_t all[32][kWarpSize][6];  // of every warp what its lanes bring
  auto& block = emulation::Block::current();
  const unsigned lane = block.lane();
  auto& warp = all[threadIdx.x / kWarpSize];
  for (int r = 0; r < 4; ++r) warp[lane][r] = a[r];
  for (int r = 0; r < 2; ++r) warp[lane][4 + r] = b[r];
  __syncwarp();
  const unsigned g = lane / 4, t = lane % 4;
  for (unsigned own = 0; own < 4; ++own)
    for (unsigned byte = 0; byte < 32; ++byte) {
      const unsigned source = byte % 16 / 4, half = byte / 16, shift = 8 * (byte % 4), column = 2 * t + own % 2;
      const std::uint32_t left = warp[4 * g + source][2 * half + own / 2] >> shift & 255;
      const std::uint32_t right = warp[4 * column + source][4 + half] >> shift & 255;
      sums[own] += static_cast<std::int32_t>(left * right);
    }
  __syncwarp();
#endif
}

}  // namespace fastlae::cuda
