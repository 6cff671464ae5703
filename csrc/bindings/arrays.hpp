// From NumPy arrays to views: dtype, dimensions, strides and writability are checked here, and nothing is copied.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "fastlae/context.hpp"
#include "fastlae/half.hpp"
#include "fastlae/views.hpp"

namespace fastlae::bindings {

namespace py = pybind11;

/// The context of one call: threads, and Ctrl-C.
Context make_context(int num_threads);

[[noreturn]] inline void reject(const char* name, const std::string& expected, const py::array& got) {
  throw py::type_error(std::string(name) + ": expected " + expected + ", got " +
                       py::str(py::object(got.dtype())).cast<std::string>() + " of " + std::to_string(got.ndim()) +
                       " dimension(s)");
}

/// Whether the elements are of type T, by value: an unpickled array brings a dtype object of its own.
template <class T>
bool has_dtype(const py::array& a) {
  if constexpr (std::is_same_v<T, Float16>) {
    const py::dtype dtype = a.dtype();
    return dtype.kind() == 'f' && dtype.itemsize() == 2 && dtype.byteorder() == '=';
  } else if constexpr (std::is_same_v<T, Bfloat16>) {
    return has_dtype<std::uint16_t>(a);  // NumPy has no such type: Python hands over the bits
  } else {
    return py::isinstance<py::array_t<T>>(a);
  }
}

template <class T>
std::string dtype_name() {
  if constexpr (std::is_same_v<T, Float16>)
    return "float16";
  else if constexpr (std::is_same_v<T, Bfloat16>)
    return "bfloat16, as uint16";
  else
    return py::str(py::object(py::dtype::of<T>()));
}

template <class T>
void check_flags(const py::array& a, const char* name, bool writable) {
  if (reinterpret_cast<std::uintptr_t>(a.data()) % alignof(T) != 0)
    throw py::value_error(std::string(name) + ": the array is not aligned");
  if (writable && !a.writeable()) throw py::value_error(std::string(name) + ": the array is read-only");
}

/// A vector of T; const T reads, T writes.
template <class T>
T* vector(const py::array& a, const char* name, std::int64_t size) {
  using Value = std::remove_const_t<T>;
  if (!has_dtype<Value>(a) || a.ndim() != 1) reject(name, "a vector of " + dtype_name<Value>(), a);
  if (a.shape(0) != size)
    throw py::value_error(std::string(name) + ": expected " + std::to_string(size) + " elements, got " +
                          std::to_string(a.shape(0)));
  if (size > 1 && a.strides(0) != static_cast<py::ssize_t>(sizeof(Value)))
    throw py::value_error(std::string(name) + ": elements must be contiguous");
  check_flags<Value>(a, name, !std::is_const_v<T>);
  return static_cast<T*>(const_cast<void*>(a.data()));
}

/// A matrix of T with contiguous rows; const T reads, T writes.
template <class T>
MatrixView<T> matrix(const py::array& a, const char* name) {
  using Value = std::remove_const_t<T>;
  if (!has_dtype<Value>(a) || a.ndim() != 2) reject(name, "a matrix of " + dtype_name<Value>(), a);
  constexpr auto size = static_cast<py::ssize_t>(sizeof(Value));
  const py::ssize_t rows = a.shape(0), cols = a.shape(1), stride = a.strides(0);
  if (rows == 0 || cols == 0) return {nullptr, rows, cols, cols};  // its strides mean nothing
  if ((cols > 1 && a.strides(1) != size) || (rows > 1 && (stride % size != 0 || stride / size < cols)))
    throw py::value_error(std::string(name) + ": rows must be contiguous (C order)");
  check_flags<Value>(a, name, !std::is_const_v<T>);
  return {static_cast<T*>(const_cast<void*>(a.data())), rows, cols, rows > 1 ? stride / size : cols};
}

template <class T>
MatrixView<T> matrix(const py::array& a, const char* name, std::int64_t rows, std::int64_t cols) {
  const MatrixView<T> view = matrix<T>(a, name);
  if (view.rows != rows || view.cols != cols)
    throw py::value_error(std::string(name) + ": expected shape (" + std::to_string(rows) + ", " +
                          std::to_string(cols) + "), got (" + std::to_string(view.rows) + ", " +
                          std::to_string(view.cols) + ")");
  return view;
}

/// A matrix that may be left out: None has no rows.
template <class T>
MatrixView<T> optional_matrix(const py::object& a, const char* name, std::int64_t rows, std::int64_t cols) {
  return a.is_none() ? MatrixView<T>{} : matrix<T>(a.cast<py::array>(), name, rows, cols);
}

/// A vector that may be left out: None is null.
template <class T>
T* optional_vector(const py::object& a, const char* name, std::int64_t size) {
  return a.is_none() ? nullptr : vector<T>(a.cast<py::array>(), name, size);
}

/// The lower triangle of a symmetric matrix of order n: packed by tiles of `tile` rows in a vector, or in a matrix.
template <class T>
SymmetricView<T> symmetric(const py::array& a, const char* name, std::int64_t n, std::int64_t tile) {
  if (a.ndim() == 2) {
    const MatrixView<T> full = matrix<T>(a, name, n, n);
    return {full.data, n, std::max<std::int64_t>(1, n), full.stride};
  }
  if (n < 0 || tile < 1) throw py::value_error(std::string(name) + ": expected n >= 0 and a tile of at least 1");
  SymmetricView<T> view{nullptr, n, std::min(tile, std::max<std::int64_t>(1, n)), 0};  // one tile of its size
  view.data = vector<T>(a, name, view.length());
  return view;
}

/// With the threads of a context, nobody being told of progress: whether row pointers ascend from 0 to nnz, and indices
/// in each row from 0 on to less than `cols`.
template <class Pointer>
bool rows_ascend(const Pointer* indptr, std::int64_t rows, const std::int32_t* indices, std::int64_t nnz,
                 std::int64_t cols, Context context);

/// A CSR matrix from its three arrays (values may be None: all 1). Indices are checked: in range and ascending.
template <class T>
CsrView<T> csr(const py::array& indptr, const py::array& indices, const py::object& values, std::int64_t cols,
               const char* name, const Context& context = {}) {
  CsrView<T> view;
  view.rows = indptr.ndim() == 1 ? indptr.shape(0) - 1 : -1;
  if (view.rows < 0) reject(name, "row pointers of int64", indptr);
  view.cols = cols;
  view.indptr = vector<const std::int64_t>(indptr, name, view.rows + 1);
  const std::int64_t nnz = view.indptr[view.rows];
  view.indices = vector<const std::int32_t>(indices, name, nnz);
  if (!values.is_none()) view.values = vector<const T>(values.cast<py::array>(), name, nnz);
  if (!rows_ascend(view.indptr, view.rows, view.indices, nnz, cols, context))
    throw py::value_error(std::string(name) + ": row pointers or column indices are out of order or range");
  return view;
}

/// Calls f with a value of the array's type, float or double.
template <class F>
auto dispatch(const py::array& a, const char* name, F&& f) {
  if (has_dtype<float>(a)) return f(float{});
  if (has_dtype<double>(a)) return f(double{});
  reject(name, "float32 or float64", a);
}

/// The same for weights, which may be stored in half precision.
template <class F>
auto dispatch_stored(const py::array& a, const char* name, F&& f) {
  if (has_dtype<Float16>(a)) return f(Float16{});
  if (has_dtype<Bfloat16>(a)) return f(Bfloat16{});
  return dispatch(a, name, f);
}

// One function per file of this folder.
void register_als(py::module_& m);
void register_composite_prior(py::module_& m);
void register_csr_state(py::module_& m);
void register_factors(py::module_& m);
void register_gram(py::module_& m);
void register_gram_product(py::module_& m);
void register_knn_graph(py::module_& m);
void register_multinomial(py::module_& m);
void register_packed(py::module_& m);
void register_product(py::module_& m);
void register_rows(py::module_& m);
void register_score(py::module_& m);
void register_slim(py::module_& m);
void register_sparse_linear(py::module_& m);
void register_spd_inverse(py::module_& m);
void register_swish_norm(py::module_& m);
void register_split(py::module_& m);
void register_topk(py::module_& m);
void register_weights(py::module_& m);
void register_metrics(py::module_& m);
void register_info(py::module_& m);

}  // namespace fastlae::bindings
