// Devices, and the check of a sparse matrix that somebody else made.
#include <string>

#include "launch.cuh"

namespace fastlae::cuda {

#ifdef __CUDACC__

DeviceCount device_count() {
  DeviceCount result;
  const cudaError_t error = cudaGetDeviceCount(&result.count);
  if (error != cudaSuccess) {
    cudaGetLastError();
    result.count = 0;
    result.code = error;
    result.message = cudaGetErrorString(error);
  }
  return result;
}

namespace {

int attribute(cudaDeviceAttr which, int device) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, device), "cudaDeviceGetAttribute");
  return value;
}

}  // namespace

int compute_capability(int device) {
  return 10 * attribute(cudaDevAttrComputeCapabilityMajor, device) +
         attribute(cudaDevAttrComputeCapabilityMinor, device);
}

std::int64_t shared_memory(int device) {
  return attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
}

DeviceGuard::DeviceGuard(int device) {
  int now = 0;
  check(cudaGetDevice(&now), "cudaGetDevice");
  if (now == device) return;
  check(cudaSetDevice(device), "cudaSetDevice");
  previous_ = now;
}

DeviceGuard::~DeviceGuard() {
  if (previous_ >= 0) cudaSetDevice(previous_);
}

#else

DeviceCount device_count() {
  return {1, 0, ""};
}
int compute_capability(int) {
  return 80;
}
std::int64_t shared_memory(int) {
  return 2 << 10;
}  // little, so that small matrices need several tiles
DeviceGuard::DeviceGuard(int) {}
DeviceGuard::~DeviceGuard() {}

#endif

namespace {

constexpr int kThreads = 256;

/// One warp a row. Nothing is read through a pointer or an index that has not been checked before.
template <class T>
__global__ void csr_flags_kernel(DeviceCsr<T> x, std::int32_t* flags) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const std::int64_t warps = static_cast<std::int64_t>(gridDim.x) * (kThreads / kWarpSize);
  std::int32_t found = 0;
  for (std::int64_t u = (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) / kWarpSize; u < x.rows;
       u += warps) {
    const std::int64_t begin = x.indptr[u], end = x.indptr[u + 1];
    if (begin < 0 || begin > end || end > x.nnz || (u == 0 && begin != 0) || (u == x.rows - 1 && end != x.nnz)) {
      found |= kBadPointers;
      continue;
    }
    for (std::int64_t e = begin + lane; e < end; e += kWarpSize) {
      const std::int32_t j = x.indices[e];
      if (j < 0 || j >= x.cols) found |= kOutOfRange;
      if (e > begin && x.indices[e - 1] >= j) found |= kNotAscending;
      if (x.values == nullptr) continue;
      const T value = x.values[e];
      if (!(value == T(1))) found |= kNotOnes;
      if (value == T(0)) found |= kStoredZero;
      if (!(value - value == T(0))) found |= kNotFinite;
      if (value < T(0)) found |= kNegative;
    }
  }
  if (found & ~*static_cast<volatile std::int32_t*>(flags)) atomicOr(flags, found);  // most warps find the same
}

}  // namespace

template <class T>
void csr_flags(const DeviceCsr<T>& x, std::int32_t* flags, const DeviceContext& context) {
  set_bytes(flags, 0, sizeof(std::int32_t), context);
  if (x.rows > 0)
    launch(csr_flags_kernel<T>, grid_size(blocks_for(x.rows, kThreads / kWarpSize)), kThreads, 0, context, x, flags);
}

template void csr_flags<float>(const DeviceCsr<float>&, std::int32_t*, const DeviceContext&);
template void csr_flags<double>(const DeviceCsr<double>&, std::int32_t*, const DeviceContext&);

}  // namespace fastlae::cuda
