// What every kernel is given beside its data: threads, and a hook between blocks.
#pragma once

#include <functional>

namespace fastlae {

struct Context {
  int num_threads = 1;
  // Run on the threads of the OpenMP runtime that the process has loaded, if it has one, instead of our own.
  bool openmp = false;
  // Called now and then by the calling thread with the share of the work done; true asks the kernel to stop.
  std::function<bool(double)> poll;
};

}  // namespace fastlae
