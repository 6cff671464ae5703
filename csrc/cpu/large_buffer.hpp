// Working memory of a kernel: not initialised, on huge pages where it is large.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace fastlae {

/// `size` elements that begin at a cache line. The system provides pages of 4 KB at some 3 GB/s and of 2 MB at 18 GB/s
/// (measured on a virtual machine with two cores): for memory that is used once or twice that is most of its cost.
template <class T>
class LargeBuffer {
  static_assert(std::is_trivial_v<T>);

 public:
  LargeBuffer() = default;
  explicit LargeBuffer(std::size_t size) : size_(size) {
    if (size == 0) return;
    constexpr std::size_t line = 64, huge = std::size_t{2} << 20;
    const std::size_t align = size * sizeof(T) >= 2 * huge ? huge : line;
    const std::size_t bytes = (size * sizeof(T) + align - 1) / align * align;
    data_.reset(static_cast<T*>(std::aligned_alloc(align, bytes)));
    if (!data_) throw std::bad_alloc();
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (align == huge) madvise(data_.get(), bytes, MADV_HUGEPAGE);  // a wish: it may fail
#endif
  }

  T* data() const { return data_.get(); }
  std::size_t size() const { return size_; }
  T& operator[](std::size_t i) const { return data_.get()[i]; }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T, Free> data_;
  std::size_t size_ = 0;
};

}  // namespace fastlae
