// Kernels on the host, for tests: the same source that nvcc compiles, compiled by any C++17 compiler.
//
// The blocks of a launch run one after the other; each thread of a block is a fibre, and barriers and shuffles are real
// rendezvous. Between rendezvous a random schedule, the same for the same seed, lets one warp run ahead while the
// others stand still, so that a missing barrier shows as a wrong result; threads that wait at different barriers are
// reported. It shows errors in indices, tails and barriers. It knows nothing of the device's memory model, of tensor
// cores, of its rounding (fused multiply-adds) or its speed.
#pragma once

#ifndef __x86_64__
#include <ucontext.h>
#endif

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <stdexcept>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__ __restrict
#define __shared__ static  // one block at a time

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

namespace fastlae::cuda::emulation {

constexpr unsigned kWarp = 32;
constexpr std::size_t kStackBytes = 64 << 10;

/// A place in the execution of a function with a stack of its own.
#ifdef __x86_64__
// By hand: swapcontext asks the operating system for the signal mask at every change, where most of the time went.
class Place {
 public:
  void begin(std::vector<char>& stack, void (*entry)()) {
    auto* const end =
        reinterpret_cast<void**>(reinterpret_cast<std::uintptr_t>(stack.data() + stack.size()) & ~std::uintptr_t{15});
    void** const top = end - 8;  // six registers, then where to return to, at a multiple of 16
    std::fill(top, top + 6, nullptr);
    top[6] = reinterpret_cast<void*>(entry);
    top_ = top;
  }
  /// Leaves off here and goes on there.
  void go_to(const Place& there) { change(&top_, there.top_); }

 private:
  __attribute__((naked, noinline)) static void change(void**, void*) {
    asm volatile(
        "pushq %rbp\n\tpushq %rbx\n\tpushq %r12\n\tpushq %r13\n\tpushq %r14\n\tpushq %r15\n\t"
        "movq %rsp, (%rdi)\n\tmovq %rsi, %rsp\n\t"
        "popq %r15\n\tpopq %r14\n\tpopq %r13\n\tpopq %r12\n\tpopq %rbx\n\tpopq %rbp\n\tret");
  }
  void* top_ = nullptr;
};
#else
class Place {
 public:
  void begin(std::vector<char>& stack, void (*entry)()) {
    getcontext(&context_);
    context_.uc_stack.ss_sp = stack.data();
    context_.uc_stack.ss_size = stack.size();
    context_.uc_link = nullptr;
    makecontext(&context_, entry, 0);
  }
  void go_to(Place& there) { swapcontext(&context_, &there.context_); }

 private:
  ucontext_t context_;
};
#endif

class Block {
 public:
  /// The block that runs now.
  static Block& current() {
    static Block block;
    return block;
  }

  dim3 grid, block, block_index;
  std::vector<unsigned char> shared;

  const dim3& thread_index() const { return fibres_[running_].index; }
  unsigned lane() const { return running_ % kWarp; }
  void seed(unsigned value) { random_.seed(value); }

  void run(std::function<void()> body) {
    body_ = std::move(body);
    const unsigned threads = block.x * block.y * block.z;
    if (threads == 0 || threads > 1024)
      throw std::logic_error("emulated launch: a block of 1 to 1024 threads expected");
    const unsigned warps = (threads + kWarp - 1) / kWarp;
    fibres_.resize(std::max<std::size_t>(fibres_.size(), threads));
    alive_ = threads;
    all_ = {};
    warps_.assign(warps, {});
    warp_alive_.assign(warps, 0);
    slots_.assign(warps * kWarp, 0);
    for (unsigned t = 0; t < threads; ++t) start(t);
    schedule(threads, warps);
  }

  void sync_threads() { wait(all_, alive_); }
  void sync_warp() { wait(warps_[running_ / kWarp], warp_alive_[running_ / kWarp]); }

  /// The value that lane `source` of the warp brought to this call; the own one if there is no such lane.
  template <class T>
  T exchange(T value, unsigned source) {
    static_assert(sizeof(T) <= sizeof(std::uint64_t));
    const unsigned at = running_ / kWarp * kWarp + source;
    std::memcpy(&slots_[running_], &value, sizeof(T));
    sync_warp();
    T result = value;
    if (source < kWarp && at < fibres_.size() && !fibres_[at].done) std::memcpy(&result, &slots_[at], sizeof(T));
    sync_warp();
    return result;
  }

 private:
  struct Barrier {
    unsigned arrived = 0, generation = 0;
  };
  struct Fibre {
    Place place;
    std::vector<char> stack;
    dim3 index;
    bool done = true;
    const Barrier* waits_at = nullptr;  // for a generation other than `seen`
    unsigned seen = 0;

    bool can_run() const { return !done && (waits_at == nullptr || waits_at->generation != seen); }
  };

  void start(unsigned t) {
    Fibre& fibre = fibres_[t];
    fibre.stack.resize(kStackBytes);
    fibre.done = false;
    fibre.waits_at = nullptr;
    fibre.index = dim3(t % block.x, t / block.x % block.y, t / (block.x * block.y));
    ++warp_alive_[t / kWarp];
    fibre.place.begin(fibre.stack, &Block::entry);
  }

  static void entry() {
    Block& self = current();
    self.body_();
    const unsigned warp = self.running_ / kWarp;
    self.fibres_[self.running_].done = true;
    release_if_full(self.all_, --self.alive_);  // threads that have returned are not waited for
    release_if_full(self.warps_[warp], --self.warp_alive_[warp]);
    self.fibres_[self.running_].place.go_to(self.main_);
  }

  static bool release_if_full(Barrier& barrier, unsigned needed) {
    if (barrier.arrived == 0 || barrier.arrived < needed) return false;
    barrier.arrived = 0;
    ++barrier.generation;
    return true;
  }

  void wait(Barrier& barrier, unsigned needed) {
    Fibre& fibre = fibres_[running_];
    fibre.waits_at = &barrier;
    fibre.seen = barrier.generation;
    ++barrier.arrived;
    if (!release_if_full(barrier, needed)) fibre.place.go_to(main_);
    fibre.waits_at = nullptr;
  }

  bool resume(unsigned t) {
    if (!fibres_[t].can_run()) return false;
    running_ = t;
    main_.go_to(fibres_[t].place);
    return true;
  }

  void schedule(unsigned threads, unsigned warps) {
    while (alive_ > 0) {
      bool moved = false;
      const unsigned favoured = static_cast<unsigned>(random_()) % warps * kWarp;
      for (int round = 0; round < 4; ++round)
        for (unsigned t = favoured; t < std::min(threads, favoured + kWarp); ++t) moved |= resume(t);
      const auto first = static_cast<unsigned>(random_()) % threads;  // then some of all, from anywhere on
      auto chosen = static_cast<unsigned>(random_()) | 1;
      for (unsigned at = 0; at < threads; ++at) {
        chosen = chosen * 1664525 + 1013904223;
        if (chosen >> 31) moved |= resume((first + at) % threads);
      }
      if (moved) continue;
      bool stuck = true;
      for (unsigned t = 0; t < threads; ++t) stuck = stuck && !fibres_[t].can_run();
      if (stuck && alive_ > 0) {
        std::fputs("emulated kernel: threads wait at different barriers\n", stderr);
        std::abort();
      }
    }
  }

  std::vector<Fibre> fibres_;
  std::vector<Barrier> warps_;
  std::vector<unsigned> warp_alive_;
  std::vector<std::uint64_t> slots_;
  Barrier all_;
  unsigned running_ = 0, alive_ = 0;
  Place main_;
  std::function<void()> body_;
  std::mt19937 random_{12345};
};

}  // namespace fastlae::cuda::emulation

#define threadIdx (::fastlae::cuda::emulation::Block::current().thread_index())
#define blockIdx (::fastlae::cuda::emulation::Block::current().block_index)
#define blockDim (::fastlae::cuda::emulation::Block::current().block)
#define gridDim (::fastlae::cuda::emulation::Block::current().grid)

inline void __syncthreads() {
  fastlae::cuda::emulation::Block::current().sync_threads();
}
inline void __syncwarp(unsigned = ~0u) {
  fastlae::cuda::emulation::Block::current().sync_warp();
}

template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  auto& block = fastlae::cuda::emulation::Block::current();
  return block.exchange(value, block.lane() ^ static_cast<unsigned>(mask));
}

template <class T>
T atomicAdd(T* to, T value) {
  const T old = *to;
  *to += value;
  return old;
}
template <class T>
T atomicMax(T* to, T value) {
  const T old = *to;
  *to = std::max(old, value);
  return old;
}
template <class T>
T atomicOr(T* to, T value) {
  const T old = *to;
  *to |= value;
  return old;
}
template <class T>
T atomicCAS(T* to, T expected, T value) {
  const T old = *to;
  if (old == expected) *to = value;
  return old;
}
