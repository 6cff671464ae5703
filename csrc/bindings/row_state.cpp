#include <cmath>
#include <utility>

#include "arrays.hpp"

namespace fastlae::bindings {

namespace {

/// Whether every value is finite and not zero, and whether every one is 1.
template <class T>
std::pair<bool, bool> look_at(const T* values, std::int64_t count) {
  bool sound = true, ones = true;
  for (std::int64_t e = 0; e < count; ++e) {
    ones &= values[e] == T(1);
    sound &= std::isfinite(values[e]) && values[e] != T(0);
  }
  return {sound, ones};
}

/// Whether indices ascend from 0 on to less than `cols`.
bool ascending(const std::int32_t* indices, std::int64_t count, std::int64_t cols) {
  bool sound = count > 0 && indices[0] >= 0 && indices[count - 1] < cols;
  for (std::int64_t e = 1; e < count; ++e) sound &= indices[e - 1] < indices[e];
  return sound;
}

}  // namespace

void register_row_state(py::module_& m) {
  m.def(
      "row_state",
      [](const py::array& indices, const py::array& values, std::int64_t cols) {
        constexpr int plain = py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
        if (!has_dtype<std::int32_t>(indices) || indices.ndim() != 1 || values.ndim() != 1 ||
            indices.size() != values.size() || (indices.flags() & values.flags() & plain) != plain)
          return 0;
        const std::int64_t count = indices.size();
        if (!ascending(vector<const std::int32_t>(indices, "indices", count), count, cols)) return 0;
        return dispatch(values, "values", [&](auto zero) {
          const auto [sound, ones] = look_at(vector<const decltype(zero)>(values, "values", count), count);
          return sound ? (ones ? 1 : 2) : 0;
        });
      },
      py::arg("indices"), py::arg("values"), py::arg("cols"),
      "of one row's entries: 0 if they are not in canonical form, 1 if all values are 1, else 2");
}

}  // namespace fastlae::bindings
