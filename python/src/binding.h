// What every file of the binding needs: errors across the border, owned
// references, the Python side of a Tensor.
//
// Functions on the path of an op speak the CPython API directly; nanobind makes
// the module, the rare classes and carries exceptions.
#pragma once

#include <nanobind/nanobind.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ferrule/op.h"

namespace ferrule::python {

namespace nb = nanobind;

// --- errors ---

// Turns the exception being handled into a Python error.
void set_python_error() noexcept;
void register_errors(nb::module_& m);

// A Python TypeError that is not about dtypes: wrong or missing arguments.
[[noreturn]] void throw_type_error(const std::string& message);

template <class... Parts>
[[noreturn]] [[gnu::cold]] [[gnu::noinline]] void type_error(
    const Parts&... parts) {
  throw_type_error(concat(parts...));
}

// Runs `f` at the border: its exceptions become Python errors.
template <class F>
inline PyObject* guarded(F&& f) noexcept {
  try {
    return f();
  } catch (...) {
    set_python_error();
    return nullptr;
  }
}
template <class F>
inline int guarded_int(F&& f) noexcept {
  try {
    return f();
  } catch (...) {
    set_python_error();
    return -1;
  }
}

// For CPython's tables, whose types fit one calling convention only.
template <class F>
PyCFunction as_function(F f) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f));
}
template <class F>
void* slot(F f) {
  return reinterpret_cast<void*>(f);
}

// A new reference or the Python error that is set, as an exception.
inline nb::object own(PyObject* o) {
  if (!o) nb::raise_python_error();
  return nb::steal(o);
}
inline void check(int status) {
  if (status < 0) nb::raise_python_error();
}

// A Python object kept by C++ code that may run without the GIL (hooks, foreign
// memory). Copies share it.
class Kept {
 public:
  explicit Kept(PyObject* o);  // takes a new reference
  PyObject* get() const { return block_->object; }
  Kept(const Kept& o);
  Kept(Kept&& o) noexcept : Kept(static_cast<const Kept&>(o)) {}
  Kept& operator=(const Kept&) = delete;
  ~Kept();

 private:
  struct Block {
    std::atomic<int> refs{1};
    PyObject* object = nullptr;
  };
  Block* block_;
};

struct GilRelease {
  explicit GilRelease(bool on) : state_(on ? PyEval_SaveThread() : nullptr) {}
  ~GilRelease() {
    if (state_) PyEval_RestoreThread(state_);
  }
  GilRelease(const GilRelease&) = delete;

 private:
  PyThreadState* state_;
};

struct GilAcquire {
  PyGILState_STATE state = PyGILState_Ensure();
  GilAcquire() = default;
  GilAcquire(const GilAcquire&) = delete;
  ~GilAcquire() { PyGILState_Release(state); }
};

// A UserWarning of Ferrule's own class (FerruleWarning).
void warn(const std::string& message);

// --- tensors ---

struct PyTensor {
  PyObject_HEAD TensorImpl* impl;  // never null
  PyObject* weakrefs;
};

extern PyTypeObject* tensor_type;

inline bool is_exact_tensor(PyObject* o) { return Py_TYPE(o) == tensor_type; }
inline bool is_tensor(PyObject* o) {
  return is_exact_tensor(o) || PyType_IsSubtype(Py_TYPE(o), tensor_type);
}
inline TensorImpl* impl_of(PyObject* o) {
  return reinterpret_cast<PyTensor*>(o)->impl;
}
inline Tensor tensor_of(PyObject* o) { return Tensor::share(impl_of(o)); }

// A new Python object that takes over the handle.
PyObject* wrap(Tensor t);
// None for an empty handle.
inline PyObject* wrap_or_none(Tensor t) {
  if (t) return wrap(std::move(t));
  Py_RETURN_NONE;
}
// One tensor alone, several as a tuple (of `type`, if there is one), none as
// None.
PyObject* wrap_results(Results r, PyTypeObject* type);
// The named tuple ferrule.return_types.NAME, which lives as long as the
// process.
PyTypeObject* return_type(const char* name);

// Takes over the handle of another object: see Tensor._replace.
void replace(PyObject* self, Tensor with);

// --- dtypes, devices, integers with an expression ---

PyObject* wrap_dtype(DType t);  // new reference
// Accepts a DType, Python's bool, int, float and complex, and NumPy's dtypes.
bool dtype_from(PyObject* o, DType* out);
PyObject* wrap_device(Device d);
bool device_from(PyObject* o, Device* out);  // a Device or a str

PyObject* wrap_int(Int v);  // a SymInt when it has an expression
// False (without a Python error) when `o` is no integer; bools are none.
// Throws when it does not fit.
bool int_from(PyObject* o, Int* out);
// SymInt's expression; -1 for every other object.
int32_t expression_of(PyObject* o);
// What Tensor.size is: the number of elements, and a function of a dimension.
PyObject* wrap_size(PyObject* tensor);

// A Python or NumPy number, or a 0-d array: an immediate.
bool number_from(PyObject* o, Arg* out);
// A Python or NumPy complex number, as a 0-d tensor that is weak beside a
// tensor of dtype `beside`.
bool complex_from(PyObject* o, DType beside, Tensor* out);

PyObject* shape_tuple(const TensorImpl* t);
// Dimension given by the user of the method `who`, non-negative.
int dim_from(PyObject* o, const TensorImpl* t, const char* who);

// --- NumPy, never imported by us unless asked

bool is_numpy_scalar(PyObject* o);  // numpy.generic
bool is_numpy_array(PyObject* o);

// --- values (values.cpp)

float half_to_float(uint16_t h);
uint16_t float_to_half(float f);
// Element at `p` of dtype `t`, as a Python bool, int, float or complex.
PyObject* element(const char* p, DType t);
// The tensor itself, or its copy in CPU memory; throws when it has no values.
Tensor on_host(const Tensor& t, const char* what);
PyObject* item(const Tensor& t);
// The same values on another device; differentiable.
Tensor to_device(const Tensor& t, Device device);

// --- the jobs of the other files

Tensor tensor_from(PyObject* data, const DType* dtype, const char* who);
Tensor from_numpy(PyObject* array);
Tensor copy_of_array(PyObject* array);
PyObject* to_numpy(const Tensor& t);
std::string repr(const Tensor& t, bool requires_grad);

PyObject* get_item(PyObject* self, PyObject* key);
int set_item(PyObject* self, PyObject* key, PyObject* value);

int get_buffer(PyObject* self, Py_buffer* view, int flags);
void release_buffer(PyObject* self, Py_buffer* view);

// File and line of the Python code that is running, for messages.
std::string python_location();

// --- tables for the type and the module

extern PyMethodDef kTensorMethods[];
extern PyMethodDef kConvertMethods[];
extern PyMethodDef kComposedMethods[];
extern PyMethodDef kPartMethods[];
extern PyMethodDef kNumberMethods[];
extern PyMethodDef kFormatMethods[];
// `t` in a memory format (ferrule.memory_format or None).
Tensor to_memory_format(const Tensor& t, PyObject* format);
extern PyMethodDef kInteropMethods[];
extern PyMethodDef kDLPackMethods[];
extern PyMethodDef kPickleMethods[];
extern PyMethodDef kAutogradMethods[];
extern PyGetSetDef kTensorProperties[];
extern PyType_Slot kNumberSlots[];

void add_methods(PyTypeObject* type, PyMethodDef* methods);
void bind_tensor_type(nb::module_& m);
void bind_dtypes(nb::module_& m);
void bind_promotion(nb::module_& m);
void bind_symint(nb::module_& m);
void bind_ops(nb::module_& m);
void bind_constructors(nb::module_& m);
void bind_dlpack(nb::module_& m);
void bind_pickle(nb::module_& m);
void bind_repr(nb::module_& m);
void bind_return_types(nb::module_& m);
void bind_autograd(nb::module_& m);
void bind_modes(nb::module_& m);
void bind_compiled(nb::module_& m);
// ferrule._number.Number: a number of a CompiledGraph's run, while that is
// captured. Its value and index; read by PyNumber_Float, it is part of the
// graph.
bool is_run_number(PyObject* o);
Arg run_number(PyObject* o);
void bind_autocast(nb::module_& m);
void bind_nodes(nb::module_& m);
// The node that made a tensor; None for a leaf.
nb::object grad_fn_of(const TensorImpl* t);
void bind_process(nb::module_& m);
void bind_profile(nb::module_& m);
void bind_op_table(nb::module_& m);

}  // namespace ferrule::python
