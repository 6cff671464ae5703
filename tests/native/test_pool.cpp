// Parallel regions: every part once, nested and concurrent ones too, errors passed on, and alive after a fork.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

#include "check.hpp"
#include "parallel.hpp"

namespace fastlae::test {

using std::int64_t;

/// True if every index of [0, n) is visited exactly once.
bool covers(int threads, int64_t n, int64_t grain) {
  std::vector<int> visits(static_cast<std::size_t>(n), 0);
  std::atomic<bool> good{true};
  parallel_for(context(threads), n, grain, [&](int64_t begin, int64_t end, int thread) {
    if (thread < 0 || thread >= threads || begin >= end || end - begin > std::max<int64_t>(1, grain)) good = false;
    for (int64_t i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
  });
  for (const int count : visits)
    if (count != 1) return false;
  return good;
}

void covers_ranges() {
  for (int round = 0; round < 50; ++round)
    for (const int threads : {1, 2, 3, 7})
      for (const int64_t n : {0, 1, 2, 5, 64, 1000})
        CHECK(covers(threads, n, round % 20), "threads %d, n %d", threads, static_cast<int>(n));
}

void nests() {
  std::atomic<int64_t> sum{0};
  parallel_for(context(3), 20, 1, [&](int64_t i, int64_t, int) {
    parallel_for(context(3), 30, 4, [&](int64_t begin, int64_t end, int) {
      for (int64_t j = begin; j < end; ++j) sum += i * j;
    });
  });
  CHECK(sum == 190 * 435, "sum %lld", static_cast<long long>(sum.load()));
}

void runs_concurrently() {
  std::atomic<int> bad{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&bad] {
      for (int round = 0; round < 100; ++round) bad += !covers(3, 257, 3);
    });
  for (std::thread& caller : callers) caller.join();
  CHECK(bad == 0, "%d rounds", bad.load());
}

/// Workers without a part sleep through regions, and wake up for a later one.
void changes_size() {
  for (int round = 0; round < 40; ++round)
    for (const int threads : {2, 24, 3, 2, 9}) CHECK(covers(threads, 300, 1), "threads %d", threads);
}

void passes_on_errors() {
  for (int round = 0; round < 50; ++round)
    for (const int threads : {1, 2, 4}) {
      std::string got;
      try {
        parallel_for(context(threads), 100, 1, [&](int64_t i, int64_t, int) {
          if (i == 37) throw std::runtime_error("at 37");
        });
      } catch (const std::runtime_error& error) {
        got = error.what();
      }
      CHECK(got == "at 37", "threads %d: '%s'", threads, got.c_str());
      CHECK(covers(threads, 100, 1), "after an error, threads %d", threads);
    }
}

void ends_when_asked() {
  Context c = context(3);
  std::atomic<int> calls{0}, done{0};
  c.poll = [&](double) { return ++calls == 2; };
  bool cancelled = false;
  try {
    parallel_for(c, 100000, 1, [&](int64_t, int64_t, int) {
      ++done;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    });
  } catch (const Cancelled&) {
    cancelled = true;
  }
  CHECK(cancelled && calls == 2 && done < 100000, "%d calls, %d done", calls.load(), done.load());
}

/// A child begins with no threads but its own, and makes new ones.
void survives_fork() {
  CHECK(covers(3, 1000, 1), "before the fork");
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);  // a child that hangs is a failure, not a hanging test
    bool good = true;
    for (int round = 0; round < 5; ++round) good = good && covers(3, 1000, 1);
    _exit(good ? 0 : 1);
  }
  CHECK(child > 0, "fork");
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
  CHECK(covers(3, 1000, 1), "after the fork");
}

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  covers_ranges();
  nests();
  runs_concurrently();
  changes_size();
  passes_on_errors();
  ends_when_asked();
  survives_fork();
  return report("pool");
}
