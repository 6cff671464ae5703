// A small pool of sleeping threads, safe to fork.
//
// Threads that are started afresh for every region often begin on their parent's core and cost a time slice of some
// milliseconds there; threads that sleep wake up on the core they had. Workers spin for a few microseconds after a
// region and then sleep, so that they do not take cores from a BLAS in between.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>

namespace fastlae {

class Pool {
 public:
  /// The pool of this process. A forked child finds a new, empty one.
  static Pool& instance();

  /// Calls task(argument, part) for part = 0 .. parts - 1 and returns when all are done. Part 0 runs on the caller.
  /// Where the pool is busy (a nested or concurrent call), or the system gives no more threads, the caller runs what
  /// is left one after the other: parts must not wait for parts with a higher number.
  void run(int parts, void (*task)(void* argument, int part), void* argument);

 private:
  void grow(int workers);
  void work(int id, std::uint64_t seen, std::condition_variable& wake);

  std::atomic<bool> busy_{false};
  // Number of the region and how many take part in it, in one word: a worker that has no part in a region may sleep
  // through it, and must not see the one with the other's task.
  std::atomic<std::uint64_t> region_{0};
  std::atomic<int> running_{0};  // workers that have not finished this region
  void (*task_)(void*, int) = nullptr;
  void* argument_ = nullptr;
  std::mutex mutex_;
  std::deque<std::condition_variable> wake_;  // of every worker: only those with a part are woken
};

/// The same on the threads of an OpenMP runtime with GNU's entry points, if the process has loaded one, else false.
///
/// To be used between calls of a library that computes on those threads (torch): they spin for some milliseconds after
/// a region of their own, and our workers would share the cores with them. The region has as many threads as that
/// library asks for, since one of fewer would end the others. False in a forked child, where the runtime has lost its
/// threads.
bool run_on_openmp(int parts, void (*task)(void* argument, int part), void* argument);

}  // namespace fastlae
