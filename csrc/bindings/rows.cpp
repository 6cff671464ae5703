#include "fastlae/rows.hpp"

#include "arrays.hpp"

namespace fastlae::bindings {

namespace {

template <class T>
py::object encode(const py::list& pieces, std::int64_t most, const py::array& codes, int num_threads) {
  const Context context = make_context(num_threads);
  std::vector<Piece<T>> views;
  std::int64_t n = 0;
  for (const py::handle& piece : pieces) {
    const auto array = py::cast<py::array>(piece);
    const std::int64_t size = array.ndim() == 1 ? array.shape(0) : -1;
    views.push_back({vector<const T>(array, "pieces", size), size});
    n += size;
  }
  auto* const out = vector<std::int32_t>(codes, "codes", n);
  std::vector<std::int64_t> distinct;
  {
    const py::gil_scoped_release release;
    const Range range = value_range(views, context);
    // As numbers without a sign: the difference of two of 64 bits may not fit in 63.
    const auto span = static_cast<std::uint64_t>(range.high) - static_cast<std::uint64_t>(range.low) + 1;
    if (range.low <= range.high) {
      if (span == 0 || span > static_cast<std::uint64_t>(most)) {
        const py::gil_scoped_acquire acquire;
        return py::none();
      }
      encode_integers(views, range.low, static_cast<std::int64_t>(span), out, distinct, context);
    }
  }
  return py::array_t<std::int64_t>(static_cast<py::ssize_t>(distinct.size()), distinct.data());
}

void check_codes(const std::int32_t* codes, std::int64_t n, std::int64_t limit, const char* name,
                 const Context& context) {
  const Range range = value_range(std::vector<Piece<std::int32_t>>{{codes, n}}, context);
  if (n > 0 && (range.low < 0 || range.high >= limit))
    throw py::value_error(std::string(name) + ": expected codes in 0 .. " + std::to_string(limit - 1) + ", got " +
                          std::to_string(range.low) + " .. " + std::to_string(range.high));
}

std::vector<Carried> columns(const py::list& given, std::int64_t n) {
  std::vector<Carried> carried;
  for (const py::handle& pair : given) {
    const auto arrays = py::cast<std::pair<py::array, py::array>>(pair);
    const auto column = [&](auto type) {
      using T = decltype(type);
      carried.push_back(
          {vector<const T>(arrays.first, "carried", n), vector<T>(arrays.second, "carried", n), int{sizeof(T)}});
    };
    if (has_dtype<float>(arrays.first))
      column(float{});
    else if (has_dtype<double>(arrays.first))
      column(double{});
    else if (has_dtype<std::int64_t>(arrays.first))
      column(std::int64_t{});
    else
      reject("carried", "float32, float64 or int64", arrays.first);
  }
  return carried;
}

}  // namespace

void register_rows(py::module_& m) {
  m.def(
      "encode_integers",
      [](const py::list& pieces, std::int64_t most, const py::array& codes, int num_threads) -> py::object {
        if (!pieces.empty() && has_dtype<std::int32_t>(py::cast<py::array>(pieces[0])))
          return encode<std::int32_t>(pieces, most, codes, num_threads);
        return encode<std::int64_t>(pieces, most, codes, num_threads);
      },
      py::arg("pieces"), py::arg("most"), py::arg("codes"), py::arg("num_threads"),
      "distinct integers, ascending, and the place of every one given; None if they span more than `most`");
  m.def(
      "odd_numbers",
      [](const py::bytes& text, char separator) {
        char* data = nullptr;
        py::ssize_t size = 0;
        if (PyBytes_AsStringAndSize(text.ptr(), &data, &size) != 0) throw py::error_already_set();
        const py::gil_scoped_release release;
        return has_odd_numbers(data, size, separator);
      },
      py::arg("text"), py::arg("separator"), "whether a field begins or ends as no number does that an integer makes");
  m.def(
      "sort_into_rows",
      [](const py::array& users, const py::array& items, std::int64_t n_items, const py::array& indptr,
         const py::array& indices, const py::list& carried, int num_threads) {
        const Context context = make_context(num_threads);
        const std::int64_t n = users.ndim() == 1 ? users.shape(0) : -1;
        const std::int64_t n_users = indptr.ndim() == 1 ? indptr.shape(0) - 1 : -1;
        if (n_users < 0) reject("indptr", "row pointers of int64", indptr);
        if (n > 0xffffffffll) throw py::value_error("users: at most 4,294,967,295 pairs are possible");
        const auto* const u = vector<const std::int32_t>(users, "users", n);
        const auto* const i = vector<const std::int32_t>(items, "items", n);
        auto* const pointers = vector<std::int64_t>(indptr, "indptr", n_users + 1);
        auto* const out = vector<std::int32_t>(indices, "indices", n);
        const std::vector<Carried> along = columns(carried, n);
        const py::gil_scoped_release release;
        check_codes(u, n, n_users, "users", context);
        check_codes(i, n, n_items, "items", context);
        return sort_into_rows(u, i, n, n_users, pointers, out, along, context);
      },
      py::arg("users"), py::arg("items"), py::arg("n_items"), py::arg("indptr"), py::arg("indices"), py::arg("carried"),
      py::arg("num_threads"), "pairs of codes sorted by user, then by item, with the columns that go along");
}

}  // namespace fastlae::bindings
