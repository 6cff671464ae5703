// The compiled module: its table of contents, its errors, and what every call gets.
#include <utility>

#include "arrays.hpp"
#include "fastlae/errors.hpp"

namespace fastlae::bindings {

namespace {

/// Who is told of progress, or null. Guarded by the interpreter's lock, and never destroyed: Python may be gone by
/// then.
PyObject* progress = nullptr;

void set_progress(const py::object& callback) {
  PyObject* const before = progress;
  progress = callback.is_none() ? nullptr : callback.inc_ref().ptr();
  Py_XDECREF(before);
}

/// Whether calls of this thread run on OpenMP's threads.
thread_local bool openmp = false;

/// Looks for Ctrl-C and passes the share of the work on; true if an error is set, which Cancelled becomes.
bool poll(double done) {
  const py::gil_scoped_acquire gil;
  if (PyErr_CheckSignals() != 0) return true;
  if (progress == nullptr) return false;
  PyObject* const result = PyObject_CallFunction(progress, "d", done);
  Py_XDECREF(result);
  return result == nullptr;
}

}  // namespace

Context make_context(int num_threads) {
  if (num_threads < 1) throw py::value_error("num_threads: expected at least 1, got " + std::to_string(num_threads));
  Context context;
  context.num_threads = num_threads;
  context.openmp = openmp;
  context.poll = poll;
  return context;
}

}  // namespace fastlae::bindings

PYBIND11_MODULE(_core, m) {
  namespace py = pybind11;
  using namespace fastlae::bindings;
  m.doc() = "Kernels of fastlae. Use fastlae.ops, which checks and allocates.";
  py::register_local_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const fastlae::NotPositiveDefinite& e) {
      PyErr_Clear();  // Ctrl-C may have come in the same moment: the matrix is the news
      const py::object type = py::module_::import("fastlae.errors").attr("NotPositiveDefiniteError");
      py::set_error(type, type.attr("at")(e.index));
    } catch (const fastlae::Cancelled&) {
      if (!PyErr_Occurred()) PyErr_SetNone(PyExc_KeyboardInterrupt);
    }
  });
  m.def(
      "use_openmp", [](bool wanted) { return std::exchange(openmp, wanted); }, py::arg("wanted"),
      "whether this thread's calls run on the threads of a loaded OpenMP runtime; what it was before");
  m.def("set_progress", &set_progress, py::arg("callback").none(true),
        "kernels call this with the share of their work that is done, whenever they look for Ctrl-C; None: nobody");
  register_als(m);
  register_gram(m);
  register_gram_product(m);
  register_spd_inverse(m);
  register_packed(m);
  register_weights(m);
  register_product(m);
  register_csr_state(m);
  register_rows(m);
  register_score(m);
  register_topk(m);
  register_factors(m);
  register_slim(m);
  register_knn_graph(m);
  register_metrics(m);
  register_multinomial(m);
  register_sparse_linear(m);
  register_swish_norm(m);
  register_composite_prior(m);
  register_split(m);
  register_info(m);
}
