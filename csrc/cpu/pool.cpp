#include "pool.hpp"

#include <dlfcn.h>
#include <pthread.h>

#include <algorithm>
#include <exception>
#include <thread>
#include <type_traits>

namespace fastlae {

namespace {

constexpr int kPartBits = 20;  // of a region's word: how many take part
constexpr int kSpins = 2000;   // some 20 microseconds

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
  grow(std::min(parts, 1 << kPartBits) - 1);
  const int helpers = std::min(parts - 1, static_cast<int>(wake_.size()));
  task_ = task;
  argument_ = argument;
  running_.store(helpers, std::memory_order_relaxed);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    const std::uint64_t number = (region_.load(std::memory_order_relaxed) >> kPartBits) + 1;
    region_.store(number << kPartBits | static_cast<std::uint64_t>(helpers), std::memory_order_release);
  }
  for (int worker = 0; worker < helpers; ++worker) wake_[worker].notify_one();
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

namespace {

/// Entry points of the OpenMP runtime that is loaded so that all may use it, or under its usual name; null without.
struct OpenMp {
  void (*parallel)(void (*)(void*), void*, unsigned, unsigned) = nullptr;
  int (*thread)() = nullptr;
  int (*team)() = nullptr;
  int (*most)() = nullptr;

  OpenMp() {
    void* const runtime =
        dlsym(RTLD_DEFAULT, "GOMP_parallel") ? RTLD_DEFAULT : dlopen("libgomp.so.1", RTLD_LAZY | RTLD_NOLOAD);
    if (runtime != RTLD_DEFAULT && !runtime) return;
    const auto look_up = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(runtime, name));
    };
    look_up(parallel, "GOMP_parallel");
    look_up(thread, "omp_get_thread_num");
    look_up(team, "omp_get_num_threads");
    look_up(most, "omp_get_max_threads");
  }
};

// The runtime's threads do not exist in a child either, and it waits for them for ever.
std::atomic<bool> forked{false};
const int watched = pthread_atfork(nullptr, nullptr, [] { forked.store(true); });

}  // namespace

bool run_on_openmp(int parts, void (*task)(void*, int), void* argument) {
  static const OpenMp openmp;
  if (!openmp.parallel || !openmp.thread || !openmp.team || !openmp.most || watched != 0 || forked.load()) return false;
  struct Call {
    int parts;
    void (*task)(void*, int);
    void* argument;
  } call{parts, task, argument};
  openmp.parallel(
      [](void* given) {
        const Call& own = *static_cast<const Call*>(given);
        for (int part = openmp.thread(); part < own.parts; part += openmp.team()) own.task(own.argument, part);
      },
      &call, static_cast<unsigned>(std::max(parts, openmp.most())), 0);
  return true;
}

void Pool::grow(int workers) {
  try {
    while (static_cast<int>(wake_.size()) < workers) {
      std::condition_variable& wake = wake_.emplace_back();
      const int id = static_cast<int>(wake_.size());
      const std::uint64_t seen = region_.load(std::memory_order_relaxed);
      try {
        std::thread([this, id, seen, &wake] { work(id, seen, wake); }).detach();
      } catch (...) {
        wake_.pop_back();
        throw;
      }
    }
  } catch (const std::exception&) {
    // no more threads or memory to be had: run() shares the work among those there are
  }
}

void Pool::work(int id, std::uint64_t seen, std::condition_variable& wake) {
  constexpr std::uint64_t parts = (std::uint64_t{1} << kPartBits) - 1;
  for (;;) {
    for (int spin = 0; spin < kSpins && region_.load(std::memory_order_acquire) == seen; ++spin) pause();
    std::uint64_t region = region_.load(std::memory_order_acquire);
    if (region == seen) {
      std::unique_lock<std::mutex> lock(mutex_);
      wake.wait(lock, [&] { return (region = region_.load(std::memory_order_acquire)) != seen; });
    }
    seen = region;
    if (static_cast<std::uint64_t>(id) > (seen & parts)) continue;
    task_(argument_, id);
    running_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace fastlae
