// The emulation itself: it must see a barrier that is missing, and give right results where it is there.
#include "emulated.hpp"
#include "launch.cuh"

namespace fastlae::test {

constexpr int kThreads = 128;

/// Sums over a block by a tree in shared memory; the planted error leaves a barrier out.
template <bool kBarrier>
__global__ void tree_kernel(const int* x, int* sum) {
  __shared__ int parts[kThreads];
  const int t = static_cast<int>(threadIdx.x);
  parts[t] = x[t];
  __syncthreads();
  for (int distance = kThreads / 2; distance > 0; distance /= 2) {
    if (t < distance) parts[t] += parts[t + distance];
    if (kBarrier) __syncthreads();
  }
  if (t == 0) *sum = parts[0];
}

/// Lanes exchange their numbers, the last warp being half empty; some threads have left before.
__global__ void shuffle_kernel(int* out) {
  const int t = static_cast<int>(threadIdx.x);
  if (t >= 40) return;
  out[t] = __shfl_xor_sync(cuda::kFullMask, t, 1);
}

void check() {
  std::vector<int> x(kThreads, 1);
  int wrong = 0;
  for (unsigned seed = 0; seed < 8; ++seed) {
    cuda::emulation::Block::current().seed(seed);
    int sum = 0;
    cuda::launch(tree_kernel<true>, 1, kThreads, 0, Device(0).context(), x.data(), &sum);
    CHECK(sum == kThreads, "sum %d", sum);
    cuda::launch(tree_kernel<false>, 1, kThreads, 0, Device(0).context(), x.data(), &sum);
    wrong += sum != kThreads;
  }
  CHECK(wrong > 0, "a missing barrier was not seen");
  std::vector<int> out(kThreads, -1);
  cuda::launch(shuffle_kernel, 1, 48, 0, Device(0).context(), out.data());
  for (int t = 0; t < 40; ++t) CHECK(out[static_cast<std::size_t>(t)] == (t ^ 1), "lane %d", t);
}

}  // namespace fastlae::test

int main() {
  fastlae::test::check();
  return fastlae::test::report_emulated("emulation");
}
