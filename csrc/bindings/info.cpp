#include "arrays.hpp"
#include "simd/isa.hpp"

namespace fastlae::bindings {

void register_info(py::module_& m) {
  m.def("isa", [] { return simd::name(simd::active_isa()); }, "the instruction set that the kernels use");
}

}  // namespace fastlae::bindings
