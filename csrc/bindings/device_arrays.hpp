// From arrays of other libraries (torch, CuPy) in device memory to views, by DLPack: nothing is copied, and nobody
// waits.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>
#include <type_traits>

#include "dlpack.hpp"
#include "fastlae/cuda/device.hpp"
#include "fastlae/views.hpp"

namespace fastlae::bindings {

namespace py = pybind11;

#ifdef FASTLAE_CUDA_EMULATED
constexpr bool is_device(std::int32_t) {
  return true;
}  // tests: "device" memory is host memory
#else
constexpr bool is_device(std::int32_t type) {
  return type == dlpack::kCuda || type == dlpack::kCudaManaged;
}
#endif

template <class T>
constexpr dlpack::TypeCode type_code() {
  if (std::is_floating_point_v<T>) return dlpack::kFloat;
  return std::is_signed_v<T> ? dlpack::kInt : dlpack::kUInt;
}

/// An array of another library, borrowed for the length of a call.
///
/// We launch on the producer's own current stream, so it need not synchronise anything for us: stream -1 says so. The
/// capsule keeps its name, hence its own destructor gives the array back.
class DeviceArray {
 public:
  DeviceArray(py::handle object, const char* name, bool writable) : name_(name) {
    if (!py::hasattr(object, "__dlpack__"))
      throw py::type_error(name_ + ": expected an array on a CUDA device, got " + type_name(object));
    try {
      capsule_ = exported(object);
    } catch (py::error_already_set& error) {
      if (!error.matches(PyExc_BufferError)) throw;  // a tensor that requires a gradient, for instance
      throw py::value_error(name_ + ": " + error.what());
    }
    bool read_only = false;
    if (PyCapsule_IsValid(capsule_.ptr(), "dltensor_versioned")) {
      auto* const managed =
          static_cast<dlpack::VersionedTensor*>(PyCapsule_GetPointer(capsule_.ptr(), "dltensor_versioned"));
      if (managed->version.major != 1)
        throw py::buffer_error(name_ + ": DLPack " + std::to_string(managed->version.major) + " is not understood");
      tensor_ = &managed->tensor;
      read_only = managed->flags & dlpack::kReadOnly;
    } else if (PyCapsule_IsValid(capsule_.ptr(), "dltensor")) {
      tensor_ = &static_cast<dlpack::ManagedTensor*>(PyCapsule_GetPointer(capsule_.ptr(), "dltensor"))->tensor;
    } else {
      throw py::type_error(name_ + ": __dlpack__ of " + type_name(object) + " gave no DLPack capsule");
    }
    if (!is_device(tensor_->device.type))
      throw py::value_error(name_ + ": expected an array on a CUDA device, got one of " + type_name(object) +
                            " elsewhere");
    if (writable && read_only) throw py::value_error(name_ + ": the array is read-only");
  }

  std::int64_t ndim() const { return tensor_->ndim; }
  std::int64_t shape(int i) const { return tensor_->shape[i]; }
  std::int64_t stride(int i) const {
    if (tensor_->strides) return tensor_->strides[i];
    std::int64_t result = 1;
    for (int d = tensor_->ndim - 1; d > i; --d) result *= tensor_->shape[d];
    return result;
  }
  int device() const { return tensor_->device.id; }
  const std::string& name() const { return name_; }

  template <class T>
  bool has_dtype() const {
    return tensor_->dtype.code == type_code<T>() && tensor_->dtype.bits == 8 * sizeof(T) && tensor_->dtype.lanes == 1;
  }
  void* data() const { return static_cast<char*>(tensor_->data) + tensor_->byte_offset; }

  [[noreturn]] void reject(const std::string& expected) const {
    throw py::type_error(name_ + ": expected " + expected + ", got " + std::to_string(tensor_->ndim) +
                         " dimension(s) of type code " + std::to_string(tensor_->dtype.code) + " with " +
                         std::to_string(tensor_->dtype.bits) + " bits");
  }

 private:
  static py::object exported(py::handle object) {
    py::dict options;
    options["stream"] = -1;
    options["max_version"] = py::make_tuple(1, 0);
    try {
      return object.attr("__dlpack__")(**options);
    } catch (py::error_already_set& error) {  // a producer from before DLPack 1.0 does not know max_version
      if (!error.matches(PyExc_TypeError)) throw;
      PyDict_DelItemString(options.ptr(), "max_version");
      return object.attr("__dlpack__")(**options);
    }
  }

  static std::string type_name(py::handle object) {
    return py::str(py::handle(reinterpret_cast<PyObject*>(Py_TYPE(object.ptr()))).attr("__name__"));
  }

  std::string name_;
  py::object capsule_;
  dlpack::Tensor* tensor_ = nullptr;
};

/// All arrays of one call: on one device, alive until the call has been queued.
class DeviceArguments {
 public:
  explicit DeviceArguments(std::uintptr_t stream) { context_.stream = reinterpret_cast<void*>(stream); }

  /// A vector of T; const T reads, T writes. `size` -1 takes any.
  template <class T>
  T* vector(py::handle object, const char* name, std::int64_t size, std::int64_t* actual = nullptr) {
    using Value = std::remove_const_t<T>;
    const DeviceArray array(object, name, !std::is_const_v<T>);
    if (!array.has_dtype<Value>() || array.ndim() != 1)
      array.reject("a vector of " + std::to_string(8 * sizeof(Value)) + "-bit numbers");
    if (size >= 0 && array.shape(0) != size)
      throw py::value_error(std::string(name) + ": expected " + std::to_string(size) + " elements, got " +
                            std::to_string(array.shape(0)));
    if (array.shape(0) > 1 && array.stride(0) != 1)
      throw py::value_error(std::string(name) + ": elements must be contiguous");
    if (actual) *actual = array.shape(0);
    same_device(array);
    return static_cast<T*>(array.data());
  }
  template <class T>
  T* optional_vector(py::handle object, const char* name, std::int64_t size) {
    return object.is_none() ? nullptr : vector<T>(object, name, size);
  }

  /// A matrix of T with contiguous rows.
  template <class T>
  MatrixView<T> matrix(py::handle object, const char* name, std::int64_t rows = -1, std::int64_t cols = -1) {
    using Value = std::remove_const_t<T>;
    const DeviceArray array(object, name, !std::is_const_v<T>);
    if (!array.has_dtype<Value>() || array.ndim() != 2)
      array.reject("a matrix of " + std::to_string(8 * sizeof(Value)) + "-bit numbers");
    const std::int64_t r = array.shape(0), c = array.shape(1);
    if ((rows >= 0 && r != rows) || (cols >= 0 && c != cols))
      throw py::value_error(std::string(name) + ": expected shape (" + std::to_string(rows) + ", " +
                            std::to_string(cols) + "), got (" + std::to_string(r) + ", " + std::to_string(c) + ")");
    same_device(array);
    if (r == 0 || c == 0) return {nullptr, r, c, c};
    if ((c > 1 && array.stride(1) != 1) || (r > 1 && array.stride(0) < c))
      throw py::value_error(std::string(name) + ": rows must be contiguous (C order)");
    return {static_cast<T*>(array.data()), r, c, r > 1 ? array.stride(0) : c};
  }

  /// A sparse matrix; that its indices are in range is what `csr_flags` is for.
  template <class T>
  cuda::DeviceCsr<T> csr(py::handle indptr, py::handle indices, py::handle values, std::int64_t cols,
                         const char* name) {
    cuda::DeviceCsr<T> x;
    std::int64_t pointers = 0;
    x.indptr = vector<const std::int64_t>(indptr, name, -1, &pointers);
    if (pointers < 1) throw py::value_error(std::string(name) + ": expected at least one row pointer");
    x.rows = pointers - 1;
    x.cols = cols;
    x.indices = vector<const std::int32_t>(indices, name, -1, &x.nnz);
    x.values = optional_vector<const T>(values, name, x.nnz);
    return x;
  }

  /// Bytes for the kernels to work in.
  void workspace(py::handle object) {
    if (object.is_none()) return;
    context_.workspace = vector<std::uint8_t>(object, "workspace", -1, &context_.workspace_bytes);
    if (reinterpret_cast<std::uintptr_t>(context_.workspace) % 16 != 0)
      throw py::value_error("workspace: the array is not aligned");
  }

  const cuda::DeviceContext& context() const { return context_; }

 private:
  void same_device(const DeviceArray& array) {
    if (known_ && array.device() != context_.device)
      throw py::value_error(array.name() + ": expected an array on CUDA device " + std::to_string(context_.device) +
                            ", where the others are, got one on device " + std::to_string(array.device()));
    context_.device = array.device();
    known_ = true;
  }

  cuda::DeviceContext context_;
  bool known_ = false;
};

/// Calls f with a value of the array's type, float or double.
template <class F>
auto dispatch_device(py::handle object, const char* name, F&& f) {
  const DeviceArray array(object, name, false);
  if (array.has_dtype<float>()) return f(float{});
  if (array.has_dtype<double>()) return f(double{});
  array.reject("float32 or float64");
}

}  // namespace fastlae::bindings
