// Dense matrix products on a CUDA device: by cuBLAS where it has been loaded, else by a kernel of our own.
#pragma once

#include <cstdint>
#include <string>

#include "fastlae/cuda/device.hpp"
#include "fastlae/product.hpp"
#include "fastlae/views.hpp"

namespace fastlae::cuda {

/// C <- op(A) op(B).
template <class T>
void product(Operand<T> a,     // op(A): (m, k)
             Operand<T> b,     // op(B): (k, n)
             MatrixView<T> c,  // (m, n) out
             const DeviceContext& context);

/// Loads cuBLAS for all later products: a copy that is in the process already, else the file `path` if that is not
/// empty, else what the loader finds. Returns an empty string, or why there is none.
std::string load_cublas(const std::string& path);

/// Version of the cuBLAS that is used, major * 10000 + minor * 100 + patch, or 0.
int cublas_version();

}  // namespace fastlae::cuda
