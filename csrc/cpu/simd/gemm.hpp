// A single-threaded matrix product: packed panels, a register tile, nothing else.
//
// Layout of the computation (Goto and van de Geijn 2008): a panel of B (depth x n) and a block of A (rows x depth) are
// copied so that the register tile (MR x NR) reads both front to back; C is touched once per depth.
#pragma once

#include "fastlae/context.hpp"

namespace fastlae::simd {

/// The product for the active instruction set. Scratch memory is kept per thread (1.5 MB).
template <class T>
Gemm<T> native_gemm();

}  // namespace fastlae::simd
