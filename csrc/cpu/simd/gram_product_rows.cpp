#include "gram_product_rows.hpp"

#include <cstddef>

#include "isa.hpp"

namespace fastlae::simd {

namespace {
#define FASTLAE_BODY "gram_product_rows.inl"
#include "for_each_isa.inl"
}  // namespace

template <>
GramProductRows<float> gram_product_rows<float>() {
  return FASTLAE_PICK(gram_product_rows<float>);
}
template <>
GramProductRows<double> gram_product_rows<double>() {
  return FASTLAE_PICK(gram_product_rows<double>);
}

}  // namespace fastlae::simd
