#include "pool.hpp"

#include <pthread.h>

#include <algorithm>
#include <system_error>

namespace fastlae {

namespace {

constexpr int kSpins = 2000;  // some 20 microseconds

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

std::atomic<Pool*> current{nullptr};

// The parent's threads do not exist in a child, so the child must not touch their pool: it is left behind.
void in_forked_child() {
  current.store(new Pool, std::memory_order_release);
}

}  // namespace

Pool& Pool::instance() {
  static const bool registered = [] {
    current.store(new Pool, std::memory_order_release);
    pthread_atfork(nullptr, nullptr, in_forked_child);
    return true;
  }();
  (void)registered;
  return *current.load(std::memory_order_acquire);
}

void Pool::run(int parts, void (*task)(void*, int), void* argument) {
  if (parts <= 1 || busy_.exchange(true, std::memory_order_acquire)) {
    for (int part = 0; part < parts; ++part) task(argument, part);
    return;
  }
  grow(parts - 1);
  const int helpers = static_cast<int>(workers_.size());
  task_ = task;
  argument_ = argument;
  parts_ = parts;
  running_.store(helpers, std::memory_order_relaxed);  // every worker checks out, also one without a part
  {
    std::lock_guard<std::mutex> lock(mutex_);
    generation_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  task(argument, 0);
  for (int part = helpers + 1; part < parts; ++part) task(argument, part);
  for (int spin = 0; running_.load(std::memory_order_acquire) > 0; ++spin) {
    if (spin < kSpins)
      pause();
    else
      std::this_thread::yield();
  }
  busy_.store(false, std::memory_order_release);
}

void Pool::grow(int workers) {
  try {
    while (static_cast<int>(workers_.size()) < workers) {
      const int id = static_cast<int>(workers_.size()) + 1;
      const std::uint64_t seen = generation_.load(std::memory_order_relaxed);
      workers_.emplace_back([this, id, seen] { work(id, seen); });
      workers_.back().detach();
    }
  } catch (const std::system_error&) {
    // no more threads to be had: run() shares the work among those there are
  }
}

void Pool::work(int id, std::uint64_t seen) {
  for (;;) {
    for (int spin = 0; spin < kSpins && generation_.load(std::memory_order_acquire) == seen; ++spin) pause();
    if (generation_.load(std::memory_order_acquire) == seen) {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [&] { return generation_.load(std::memory_order_acquire) != seen; });
    }
    seen = generation_.load(std::memory_order_acquire);
    if (id < parts_) task_(argument_, id);
    running_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace fastlae
