// How a kernel shares its work among threads: a team for one region, or a loop over chunks.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <mutex>

#include "fastlae/context.hpp"
#include "fastlae/errors.hpp"
#include "pool.hpp"

namespace fastlae {

/// When a thread last looked whether its caller wants to stop. It outlives regions: a kernel of many short ones looks,
/// too.
inline thread_local std::chrono::steady_clock::time_point last_poll{};

/// The threads of one parallel region: they stop together, on an error or at the caller's wish.
class Team {
 public:
  Team(const Context& context, int threads) : context_(context), threads_(std::max(1, threads)) {}

  int threads() const { return threads_; }
  bool stopped() const { return stop_.load(std::memory_order_relaxed); }

  /// To be called between blocks of work. `done` is the share of the work that is finished.
  void poll(int thread, double done) {
    if (thread != 0 || !context_.poll) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - last_poll < std::chrono::milliseconds(50)) return;
    last_poll = now;
    if (context_.poll(done)) {
      cancelled_ = true;
      stop_.store(true, std::memory_order_relaxed);
    }
  }

  /// Calls body(thread) once on every thread, the caller being thread 0, and passes on the first exception.
  template <class Body>
  void run(Body&& body) {
    auto guarded = [&](int thread) {
      try {
        body(thread);
      } catch (...) {
        std::lock_guard<std::mutex> lock(mutex_);
        if (!error_) error_ = std::current_exception();
        stop_.store(true, std::memory_order_relaxed);
      }
    };
    const auto task = [](void* call, int thread) { (*static_cast<decltype(guarded)*>(call))(thread); };
    if (threads_ == 1 || !context_.openmp || !run_on_openmp(threads_, task, &guarded))
      Pool::instance().run(threads_, task, &guarded);
    if (error_) std::rethrow_exception(error_);
    if (cancelled_) throw Cancelled();
  }

 private:
  const Context& context_;
  int threads_;
  std::atomic<bool> stop_{false};
  bool cancelled_ = false;  // written and read by thread 0 alone
  std::mutex mutex_;
  std::exception_ptr error_;
};

/// Calls body(begin, end, thread) on chunks of [0, n) of at most `grain`, handed out in order.
/// A region of one chunk runs on the caller alone.
template <class Body>
void parallel_for(const Context& context, std::int64_t n, std::int64_t grain, Body&& body) {
  if (n <= 0) return;
  grain = std::max<std::int64_t>(1, grain);
  const std::int64_t chunks = (n + grain - 1) / grain;
  Team team(context, static_cast<int>(std::min<std::int64_t>(context.num_threads, chunks)));
  std::atomic<std::int64_t> next{0};
  team.run([&](int thread) {
    while (!team.stopped()) {
      const std::int64_t chunk = next.fetch_add(1, std::memory_order_relaxed);
      if (chunk >= chunks) return;
      body(chunk * grain, std::min(n, (chunk + 1) * grain), thread);
      team.poll(thread, static_cast<double>(chunk) / static_cast<double>(chunks));
    }
  });
}

}  // namespace fastlae
