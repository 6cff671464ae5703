// What every CUDA kernel is given beside its data. No CUDA header is needed to read this one.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace fastlae::cuda {

/// Where and in which order a call runs. Launches go to `stream` and return at once: nothing here waits for the device,
/// and nothing allocates; what an op needs beside its arguments, the caller gives it in `workspace`.
struct DeviceContext {
  int device = 0;
  void* stream = nullptr;     // a cudaStream_t; null is the legacy default stream
  void* workspace = nullptr;  // aligned to 256 bytes
  std::int64_t workspace_bytes = 0;
};

/// An error of the CUDA runtime, or of a library on top of it; `code` is its cudaError_t, or 0.
class CudaError : public std::runtime_error {
 public:
  CudaError(int error, const std::string& message) : std::runtime_error(message), code(error) {}
  int code;
};

/// A sparse matrix by rows in device memory: sorted, unique column indices; no stored zeros.
template <class T>
struct DeviceCsr {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t nnz = 0;
  const std::int64_t* indptr = nullptr;   // (rows + 1)
  const std::int32_t* indices = nullptr;  // (nnz)
  const T* values = nullptr;              // (nnz), or null: every stored value is 1
};

/// What `csr_flags` reports, one bit each.
enum CsrFlag : std::int32_t {
  kBadPointers = 1,   // row pointers that do not ascend from 0 to nnz
  kOutOfRange = 2,    // a column index outside the matrix
  kNotAscending = 4,  // column indices of a row that are not strictly ascending
  kNotOnes = 8,       // a value other than 1
  kStoredZero = 16,   // a value of 0
  kNotFinite = 32,    // NaN or infinity
  kNegative = 64,     // a value below 0
};

/// flags <- what is so about `x`, whatever its arrays hold.
template <class T>
void csr_flags(const DeviceCsr<T>& x, std::int32_t* flags /* (1) out */, const DeviceContext& context);

/// Devices that can be used; where there is none, `code` and `message` of the runtime say why.
struct DeviceCount {
  int count = 0;
  int code = 0;
  std::string message;
};
DeviceCount device_count();

/// Compute capability, 10 * major + minor.
int compute_capability(int device);

/// Largest dynamic shared memory of a block, in bytes.
std::int64_t shared_memory(int device);

/// Makes `device` the current one for the life of this object.
class DeviceGuard {
 public:
  explicit DeviceGuard(int device);
  ~DeviceGuard();
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;

 private:
  int previous_ = -1;
};

}  // namespace fastlae::cuda
