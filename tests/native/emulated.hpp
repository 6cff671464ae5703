// What the tests of emulated kernels share. "Device" memory is host memory here: csrc/cuda/emulation.hpp.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <vector>

#include "check.hpp"
#include "emulation.hpp"
#include "fastlae/cuda/device.hpp"

namespace fastlae::test {

using std::int64_t;

/// A context whose workspace is exactly as large as asked for, so that AddressSanitizer sees one byte too many.
class Device {
 public:
  explicit Device(int64_t workspace_bytes) : memory_(static_cast<std::size_t>(workspace_bytes), 0xA5) {
    context_.workspace = memory_.data();
    context_.workspace_bytes = workspace_bytes;
  }
  const cuda::DeviceContext& context() const { return context_; }

 private:
  std::vector<unsigned char> memory_;
  cuda::DeviceContext context_;
};

template <class T>
cuda::DeviceCsr<T> device_csr(const Csr<T>& x, int64_t cols, bool values) {
  return {static_cast<int64_t>(x.indptr.size()) - 1,
          cols,
          static_cast<int64_t>(x.indices.size()),
          x.indptr.data(),
          x.indices.data(),
          values ? x.values.data() : nullptr};
}

/// Runs `body` under several schedules.
inline void under_schedules(const std::function<void()>& body) {
  for (const unsigned seed : {1u, 2u}) {
    cuda::emulation::Block::current().seed(seed);
    body();
  }
}

inline int report_emulated(const char* what) {
  std::printf("%s, emulated on the host: %d failure(s)\n", what, failures);
  return failures == 0 ? 0 : 1;
}

}  // namespace fastlae::test
