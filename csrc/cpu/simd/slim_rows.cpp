#include "slim_rows.hpp"

#include <cstddef>

#include "isa.hpp"

namespace fastlae::simd {

namespace {
#define FASTLAE_BODY "slim_rows.inl"
#include "for_each_isa.inl"
}  // namespace

#define FASTLAE_INSTANTIATE(T)             \
  template <>                              \
  SubtractRows<T> subtract_rows<T>() {     \
    return FASTLAE_PICK(subtract_rows<T>); \
  }                                        \
  template <>                              \
  SubtractRow<T> subtract_row<T>() {       \
    return FASTLAE_PICK(subtract_row<T>);  \
  }
FASTLAE_INSTANTIATE(float)
FASTLAE_INSTANTIATE(double)
#undef FASTLAE_INSTANTIATE

}  // namespace fastlae::simd
