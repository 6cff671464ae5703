// The main kernels on small fixed inputs, each in a function of its own, so that a tool that counts instructions can
// tell them apart (bench/instructions.py). What it prints says what the counts depend on.
#include <gnu/libc-version.h>

#include <algorithm>

#include "check.hpp"
#include "fastlae/als.hpp"
#include "fastlae/composite_prior.hpp"
#include "fastlae/factors.hpp"
#include "fastlae/gram.hpp"
#include "fastlae/gram_product.hpp"
#include "fastlae/knn_graph.hpp"
#include "fastlae/metrics.hpp"
#include "fastlae/multinomial.hpp"
#include "fastlae/product.hpp"
#include "fastlae/score.hpp"
#include "fastlae/slim.hpp"
#include "fastlae/sparse_linear.hpp"
#include "fastlae/spd_inverse.hpp"
#include "fastlae/split.hpp"
#include "fastlae/swish_norm.hpp"
#include "fastlae/topk.hpp"

#define COUNTED extern "C" __attribute__((noinline)) void

namespace fastlae::test {

using std::int64_t;

constexpr int64_t kUsers = 400, kItems = 700, kOrder = 400, kSlots = 50, kDim = 48;

/// Symmetric, with a dominant diagonal.
template <class T>
Matrix<T> definite(int64_t n, Random& random) {
  Matrix<T> a(n, n);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < i; ++j) a(i, j) = a(j, i) = static_cast<T>(random());
    a(i, i) = static_cast<T>(n);
  }
  return a;
}

struct Inputs {
  Random random{1};
  Csr<float> rows = interactions<float>(kUsers, kItems, 0.05, random);
  CsrView<float> ones{kUsers, kItems, rows.indptr.data(), rows.indices.data(), nullptr};
  CsrView<float> valued{kUsers, kItems, rows.indptr.data(), rows.indices.data(), rows.values.data()};
  Hidden seen{rows.indptr.data(), rows.indices.data(), nullptr};
  std::vector<double> user_weights = std::vector<double>(kUsers, 0.5);
  Matrix<float> gram{kItems, kItems};
  Matrix<float> single = definite<float>(kOrder, random);
  Matrix<double> twice = definite<double>(kOrder, random);
  Matrix<float> weights = definite<float>(kItems, random);
  Matrix<float> scores{kUsers, kItems};
  Matrix<std::int32_t> top{kUsers, kSlots};
  Matrix<float> best{kUsers, kSlots};
  Matrix<std::int32_t> near{kItems, kSlots};
  Matrix<float> nearness{kItems, kSlots};
  Matrix<double> sums[4] = {{kUsers, 2}, {kUsers, 2}, {kUsers, 2}, {kUsers, 2}};
  Matrix<float> embeddings{kItems, kDim}, product{kItems, kDim}, users{kUsers, kDim}, shared{kDim, kDim};
  std::vector<float> ridge = std::vector<float>(kUsers, 1.0f);
  Csr<float> columns;
  CsrView<float> transposed{};
  std::vector<double> sizes;
  std::vector<std::uint64_t> keys;
  std::vector<int64_t> part{0};
  std::vector<std::int32_t> kept = std::vector<std::int32_t>(rows.indices.size()), taken = kept;
  Matrix<float> latent{kUsers, kDim}, mean{kUsers, kDim}, total{kUsers, kDim};
  PriorParts prior{{-1.0, -1.2, -1.1}, 10.0, true};
  std::vector<float> grad = std::vector<float>(kUsers, 0.5f), loss = grad, lse = grad,
                     bias = std::vector<float>(kItems), to_bias = bias;
  Context one_thread = context(1);

  Inputs() {
    for (std::size_t e = 0; e < rows.indices.size(); ++e) keys.push_back(random.next());
    for (int64_t u = 0; u < kUsers; ++u) part.push_back(part.back() + (ones.indptr[u + 1] - ones.indptr[u]) / 5);
    for (int64_t i = 0; i < kItems; ++i) {
      for (int64_t u = 0; u < kUsers; ++u)
        if (std::binary_search(ones.indices + ones.indptr[u], ones.indices + ones.indptr[u + 1], i))
          columns.indices.push_back(static_cast<std::int32_t>(u));
      columns.indptr.push_back(static_cast<int64_t>(columns.indices.size()));
      sizes.push_back(static_cast<double>(columns.indptr.back() - columns.indptr[columns.indptr.size() - 2]));
    }
    transposed = {kItems, kUsers, columns.indptr.data(), columns.indices.data(), nullptr};
    shared = definite<float>(kDim, random);
    for (int64_t j = 0; j < kDim; ++j) {
      for (int64_t i = 0; i < kItems; ++i) embeddings(i, j) = static_cast<float>(random());
      for (int64_t u = 0; u < kUsers; ++u) users(u, j) = 0.0f;
    }
    for (int64_t u = 0; u < kUsers; ++u)
      for (int64_t j = 0; j < kDim; ++j) latent(u, j) = static_cast<float>(random());
  }
};

COUNTED count_gram(Inputs& in) {
  gram<float>(in.ones, nullptr, in.gram.view(), in.one_thread);
}
COUNTED count_gram_weighted(Inputs& in) {
  gram<float>(in.valued, in.user_weights.data(), in.gram.view(), in.one_thread);
}
COUNTED count_spd_inverse_float32(Inputs& in) {
  spd_inverse<float>(in.single.view(), in.one_thread);
}
COUNTED count_spd_inverse_float64(Inputs& in) {
  spd_inverse<double>(in.twice.view(), in.one_thread);
}
COUNTED count_score(Inputs& in) {
  score<float>(in.ones, in.weights.view(), in.scores.view(), in.one_thread);
}
COUNTED count_topk(Inputs& in) {
  topk<float>(in.scores.view(), nullptr, in.seen, in.top.view(), in.best.view(), in.one_thread);
}
COUNTED count_recommend(Inputs& in) {
  recommend<float>(in.ones, static_cast<MatrixView<const float>>(in.weights.view()), in.seen, in.top.view(),
                   in.best.view(), in.one_thread);
}
COUNTED count_ranking_sums(Inputs& in) {
  const std::int32_t cutoffs[2] = {20, kSlots};
  ranking_sums(in.top.view(), in.ones, cutoffs, 2,
               {in.sums[0].view(), in.sums[1].view(), in.sums[2].view(), in.sums[3].view()}, in.one_thread);
}
COUNTED count_split_rows(Inputs& in) {
  split_rows<float>(in.ones, in.keys.data(), in.part.data(), {in.kept.data(), nullptr}, {in.taken.data(), nullptr},
                    in.one_thread);
}

COUNTED count_gram_product(Inputs& in) {
  gram_product<float>(in.ones, in.embeddings.view(), nullptr, in.product.view(), in.one_thread);
}
COUNTED count_als_gradients(Inputs& in) {
  const AlsTerm<float> term{in.ones, 10.0f, nullptr, 1.0f, in.embeddings.view()};
  als_rows<float>(&term, 1, in.shared.view(), in.ridge.data(), {}, in.users.view(), 3, in.one_thread);
}
COUNTED count_als_cholesky(Inputs& in) {
  const AlsTerm<float> term{in.ones, 10.0f, nullptr, 1.0f, in.embeddings.view()};
  als_rows<float>(&term, 1, in.shared.view(), in.ridge.data(), {}, in.users.view(), 0, in.one_thread);
}
COUNTED count_recommend_factors(Inputs& in) {
  recommend_factors<float>(in.users.view(), in.embeddings.view(), nullptr, in.seen, in.top.view(), in.best.view(),
                           in.one_thread);
}
COUNTED count_slim(Inputs& in) {
  std::vector<SlimColumn<float>> columns(kItems);
  slim<float>(in.gram.view(), {0.5, 2.0}, nullptr, columns.data(), in.one_thread);
}

COUNTED count_nearest_neighbours(Inputs& in) {
  const Similarity jaccard{false, 1, 0, in.sizes.data(), in.sizes.data()};
  nearest_neighbours<float>(in.transposed, in.ones, jaccard, true, false, in.near.view(), in.nearness.view(),
                            in.one_thread);
}

COUNTED count_sparse_linear(Inputs& in) {
  sparse_linear<float>(in.valued, in.embeddings.view(), nullptr, in.mean.view(), in.one_thread);
}
COUNTED count_sparse_linear_backward(Inputs& in) {
  sparse_linear_backward<float>(in.valued, in.latent.view(), in.product.view(), in.one_thread);
}
COUNTED count_multinomial_nll(Inputs& in) {
  multinomial_nll<float>(in.scores.view(), in.ones, in.loss.data(), in.lse.data(), in.one_thread);
}
COUNTED count_multinomial_nll_backward(Inputs& in) {
  multinomial_nll_backward<float>(in.grad.data(), in.lse.data(), in.scores.view(), in.ones, in.scores.view(),
                                  in.one_thread);
}
COUNTED count_softmax_mean(Inputs& in) {
  softmax_mean<float>(in.latent.view(), in.embeddings.view(), in.bias.data(), in.lse.data(), in.mean.view(),
                      in.one_thread);
}
COUNTED count_linear_multinomial_nll_backward(Inputs& in) {
  linear_multinomial_nll_backward<float>(in.grad.data(), in.lse.data(), in.latent.view(), in.embeddings.view(),
                                         in.bias.data(), in.ones, in.product.view(), in.to_bias.data(), in.one_thread);
}
COUNTED count_product(Inputs& in) {
  product<float>({in.latent.view()}, {in.shared.view(), true}, in.mean.view(), in.one_thread);
}
COUNTED count_swish_norm(Inputs& in) {
  swish_norm<float>(in.latent.view(), in.bias.data(), in.latent.view(), in.ridge.data(), in.bias.data(), 0.1,
                    in.mean.view(), in.total.view(), in.loss.data(), in.lse.data(), in.one_thread);
}
COUNTED count_swish_norm_backward(Inputs& in) {
  swish_norm_backward<float>(in.mean.view(), in.mean.view(), in.latent.view(), in.bias.data(), in.latent.view(),
                             in.ridge.data(), in.loss.data(), in.lse.data(), in.users.view(), in.total.view(),
                             in.to_bias.data(), in.to_bias.data() + kDim, in.to_bias.data() + 2 * kDim, in.one_thread);
}
COUNTED count_composite_prior(Inputs& in) {
  composite_prior<float>(in.latent.view(), in.latent.view(), in.latent.view(), in.prior, in.loss.data(), in.one_thread);
}
COUNTED count_composite_prior_backward(Inputs& in) {
  composite_prior_backward<float>(in.grad.data(), in.latent.view(), in.latent.view(), in.latent.view(), in.prior,
                                  in.mean.view(), {}, {}, in.one_thread);
}

struct Counted {
  const char* name;
  void (*run)(Inputs&);
};

// In the order in which one fills what the next reads.
constexpr Counted kCounted[] = {
    {"count_gram", count_gram},
    {"count_gram_weighted", count_gram_weighted},
    {"count_spd_inverse_float32", count_spd_inverse_float32},
    {"count_spd_inverse_float64", count_spd_inverse_float64},
    {"count_score", count_score},
    {"count_topk", count_topk},
    {"count_recommend", count_recommend},
    {"count_ranking_sums", count_ranking_sums},
    {"count_split_rows", count_split_rows},
    {"count_gram_product", count_gram_product},
    {"count_als_gradients", count_als_gradients},
    {"count_als_cholesky", count_als_cholesky},
    {"count_recommend_factors", count_recommend_factors},
    {"count_slim", count_slim},
    {"count_nearest_neighbours", count_nearest_neighbours},
    {"count_sparse_linear", count_sparse_linear},
    {"count_sparse_linear_backward", count_sparse_linear_backward},
    {"count_multinomial_nll", count_multinomial_nll},
    {"count_multinomial_nll_backward", count_multinomial_nll_backward},
    {"count_softmax_mean", count_softmax_mean},
    {"count_linear_multinomial_nll_backward", count_linear_multinomial_nll_backward},
    {"count_product", count_product},
    {"count_swish_norm", count_swish_norm},
    {"count_swish_norm_backward", count_swish_norm_backward},
    {"count_composite_prior", count_composite_prior},
    {"count_composite_prior_backward", count_composite_prior_backward},
};

}  // namespace fastlae::test

int main() {
  using namespace fastlae::test;
  std::printf("isa: %s\ncompiler: %s\nflags: %s\nlibc: %s\n", fastlae::simd::name(fastlae::simd::active_isa()),
              FASTLAE_COMPILER, FASTLAE_FLAGS, gnu_get_libc_version());
  Inputs in;
  for (const Counted& counted : kCounted) {
    std::printf("function: %s\n", counted.name);
    counted.run(in);
  }
}
