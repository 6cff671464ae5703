#include "cublas.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <cstddef>

#include "fastlae/cuda/product.hpp"

namespace fastlae::cuda {

namespace {

// Newest first. The _64 functions exist from 12 on.
constexpr const char* kNames[] = {"libcublas.so.13", "libcublas.so.12"};
constexpr int kDefaultMath = 0, kTf32Math = 3;
constexpr int kNoTranspose = 0, kTranspose = 1;
constexpr std::ptrdiff_t kMostKept = 32;  // handles of a device

void* open_library(const std::string& path) {
  for (const char* name : kNames)
    if (void* found = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD)) return found;
  if (!path.empty())
    if (void* found = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return found;
  for (const char* name : kNames)
    if (void* found = dlopen(name, RTLD_NOW | RTLD_LOCAL)) return found;
  return nullptr;
}

void check(int status, const char* what) {
  if (status == 0) return;
  const char* meaning = status == 3 ? " (no memory on the device for it)" : "";
  throw CudaError(status == 3 ? 2 : 0,
                  std::string("cuBLAS: ") + what + " gave status " + std::to_string(status) + meaning);
}

}  // namespace

Cublas& Cublas::instance() {
  static Cublas* const only = new Cublas;  // never destroyed: the driver may be gone before
  return *only;
}

std::string Cublas::load(const std::string& path) {
  if (loaded()) return "";
  void* const library = open_library(path);
  if (!library) {
    const char* why = dlerror();
    return why ? why : "not found";
  }
  bool complete = true;
  const auto take = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
    complete = complete && function;
  };
  take(create_, "cublasCreate_v2");
  take(destroy_, "cublasDestroy_v2");
  take(set_stream_, "cublasSetStream_v2");
  take(set_math_mode_, "cublasSetMathMode");
  take(get_property_, "cublasGetProperty");
  take(sgemm_, "cublasSgemm_v2_64");
  take(dgemm_, "cublasDgemm_v2_64");
  if (!complete) return "the cuBLAS that was found lacks functions that are needed (12 or newer has them)";
  library_ = library;
  return "";
}

int Cublas::version() const {
  if (!loaded()) return 0;
  int part[3] = {};
  for (int which = 0; which < 3; ++which) get_property_(which, &part[which]);
  return part[0] * 10000 + part[1] * 100 + part[2];
}

/// Making a handle takes milliseconds and memory on the device, so it is kept for the next call on its stream, whose
/// work must not share a workspace with another's. Of many streams, those used last keep theirs.
class Cublas::Lease {
 public:
  Lease(Cublas& library, const DeviceContext& context, bool tf32)
      : library_(library), own_{context.device, context.stream, library.take(context.device, context.stream)} {
    int status = 0;
    if (!own_.handle) {
      check(library_.create_(&own_.handle), "cublasCreate");
      status = library_.set_stream_(own_.handle, context.stream);
    }
    if (status == 0) status = library_.set_math_mode_(own_.handle, tf32 ? kTf32Math : kDefaultMath);
    if (status == 0) return;
    library_.destroy_(own_.handle);  // no destructor will run
    check(status, "cublasSetStream or cublasSetMathMode");
  }
  ~Lease() { library_.give_back(own_); }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  Handle handle() const { return own_.handle; }

 private:
  Cublas& library_;
  Kept own_;
};

Cublas::Handle Cublas::take(int device, void* stream) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = std::find_if(kept_.begin(), kept_.end(),
                                  [&](const Kept& one) { return one.device == device && one.stream == stream; });
  if (found == kept_.end()) return nullptr;
  const Handle handle = found->handle;
  kept_.erase(found);
  return handle;
}

void Cublas::give_back(const Kept& own) {
  const auto of_device = [&](const Kept& one) { return one.device == own.device; };
  Handle one_too_many = nullptr;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    kept_.push_back(own);
    if (std::count_if(kept_.begin(), kept_.end(), of_device) > kMostKept) {
      const auto oldest = std::find_if(kept_.begin(), kept_.end(), of_device);
      one_too_many = oldest->handle;
      kept_.erase(oldest);
    }
  }
  if (one_too_many) destroy_(one_too_many);  // which waits for the device
}

void Cublas::gemm(const DeviceContext& context, bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n,
                  std::int64_t k, float alpha, const float* a, std::int64_t lda, const float* b, std::int64_t ldb,
                  float beta, float* c, std::int64_t ldc, bool tf32) {
  const Lease lease(*this, context, tf32);
  check(sgemm_(lease.handle(), transpose_a ? kTranspose : kNoTranspose, transpose_b ? kTranspose : kNoTranspose, m, n,
               k, &alpha, a, lda, b, ldb, &beta, c, ldc),
        "cublasSgemm");
}

void Cublas::gemm(const DeviceContext& context, bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n,
                  std::int64_t k, double alpha, const double* a, std::int64_t lda, const double* b, std::int64_t ldb,
                  double beta, double* c, std::int64_t ldc, bool) {
  const Lease lease(*this, context, false);
  check(dgemm_(lease.handle(), transpose_a ? kTranspose : kNoTranspose, transpose_b ? kTranspose : kNoTranspose, m, n,
               k, &alpha, a, lda, b, ldb, &beta, c, ldc),
        "cublasDgemm");
}

std::string load_cublas(const std::string& path) {
  return Cublas::instance().load(path);
}
int cublas_version() {
  return Cublas::instance().version();
}

}  // namespace fastlae::cuda
