// Tensors from Python data: numbers, nested lists, NumPy arrays, buffers.
#include <cstring>
#include <limits>

#include "binding.h"
#include "ferrule/autograd.h"
#include "ferrule/ops.h"

namespace ferrule::python {
namespace {

// --- NumPy and everything else with a buffer

struct Format {
  const char* code;
  DType dtype;
};
constexpr Format kFormats[] = {
    {"?", DType::bool_}, {"B", DType::u8},  {"b", DType::i8},
    {"h", DType::i16},   {"i", DType::i32}, {"e", DType::f16},
    {"f", DType::f32},   {"d", DType::f64}, {"Zf", DType::c64},
    {"Zd", DType::c128},
};

bool dtype_of_format(const Py_buffer& b, DType* out) {
  std::string_view f = b.format ? b.format : "B";
  if (f.starts_with('@') || f.starts_with('=') || f.starts_with('<')) {
    f.remove_prefix(1);
  }
  if (f == "l" || f == "q") {
    *out = b.itemsize == 8 ? DType::i64 : DType::i32;
    return true;
  }
  for (const Format& known : kFormats) {
    if (f == known.code && itemsize(known.dtype) == b.itemsize) {
      *out = known.dtype;
      return true;
    }
  }
  return false;
}

// One exported buffer, released with the tensor that looks into it.
struct Buffer {
  Py_buffer view{};
  ~Buffer() {
    if (view.obj) PyBuffer_Release(&view);
  }
};

void release_exported(void* context) {
  if (!Py_IsInitialized()) return;
  PyGILState_STATE state = PyGILState_Ensure();
  delete static_cast<Buffer*>(context);
  PyGILState_Release(state);
}

// A tensor that looks into the memory of `o`; it is as read-only as that.
Tensor look_into(PyObject* o, const char* who) {
  auto buffer = std::make_unique<Buffer>();
  if (PyObject_GetBuffer(o, &buffer->view, PyBUF_FULL_RO) < 0) {
    buffer->view.obj = nullptr;
    PyErr_Clear();
    if (PyObject_CheckBuffer(o)) {
      fail<ValueError>("[", who,
                       "] the array is of a type that no tensor has; convert "
                       "it with .astype(...)");
    }
    type_error("[", who,
               "] expected a NumPy array or a buffer of numbers, got ",
               Py_TYPE(o)->tp_name);
  }
  const Py_buffer& v = buffer->view;
  DType t;
  if (!dtype_of_format(v, &t)) {
    fail<DTypeError>("[", who, "] no tensor has elements of the format '",
                     v.format ? v.format : "", "' (", v.itemsize,
                     " bytes); convert the array with .astype(...)");
  }
  if (v.ndim > kMaxRank) {
    fail<ShapeError>("[", who, "] an array of ", v.ndim,
                     " dimensions; a tensor has at most ", kMaxRank);
  }
  Dims shape, strides;
  for (int i = 0; i < v.ndim; ++i) {
    shape.push(v.shape[i]);
    if (v.strides[i] < 0 || v.strides[i] % v.itemsize != 0) {
      fail<ValueError>("[", who, "] strides of ", v.strides[i],
                       " bytes in dimension ", i,
                       " cannot be shared; copy it: "
                       "ferrule.from_numpy(array.copy())");
    }
    strides.push(v.strides[i] / v.itemsize);
  }
  if (reinterpret_cast<uintptr_t>(v.buf) %
      (is_complex(t) ? v.itemsize / 2 : v.itemsize)) {
    fail<ValueError>("[", who,
                     "] the elements are not aligned and cannot be shared; "
                     "copy the array: ferrule.from_numpy(array.copy())");
  }
  void* data = v.buf;
  bool read_only = v.readonly;
  Tensor x = Tensor::wrap(data, shape, strides, t, {}, release_exported,
                          buffer.release());
  x->storage->read_only = read_only;
  return x;
}

// --- nested sequences

// The leaves of a nested sequence, in order, with the shape they make.
class Nested {
 public:
  explicit Nested(const char* who) : who_(who) {}
  Nested(const Nested&) = delete;
  ~Nested() {
    for (PyObject* o : leaves_) Py_DECREF(o);
  }

  void read(PyObject* data) {
    visit(data, 0, nullptr);
    closed_ = true;
  }
  // What holds all the numbers found: those of tensors, arrays and NumPy have a
  // dtype, Python's have the default one of their kind.
  DType dtype() const { return leaves_.empty() ? DType::f32 : dtype_; }
  Tensor write(DType dtype);
  void check_range(DType dtype) const;

 private:
  void visit(PyObject* o, int depth, const DType* known);
  void leaf(PyObject* o, int depth, const DType* known);
  void level(Py_ssize_t n, int depth);
  [[noreturn]] void unknown(PyObject* o) const {
    type_error("[", who_, "] expected numbers in nested lists, got ",
               Py_TYPE(o)->tp_name);
  }

  const char* who_;
  Dims shape_;
  bool closed_ = false;  // the depth is known: a leaf was met
  ScalarKind kind_ = ScalarKind::bool_;
  DType dtype_ = DType::bool_;
  std::vector<PyObject*> leaves_;  // owned
};

void Nested::level(Py_ssize_t n, int depth) {
  if (depth < shape_.n) {
    if (shape_[depth] == n) return;
    fail<ShapeError>("[", who_, "] the nested list is ragged: a list of ", n,
                     " entries where the first at this depth (", depth,
                     ") has ", shape_[depth]);
  }
  if (closed_) {
    fail<ShapeError>("[", who_, "] the nested list is ragged: a list at depth ",
                     depth, " where others have numbers");
  }
  if (depth == kMaxRank) {
    fail<ShapeError>("[", who_, "] lists nested more than ", kMaxRank,
                     " deep; a tensor has at most ", kMaxRank, " dimensions");
  }
  shape_.push(n);
}

void Nested::leaf(PyObject* o, int depth, const DType* known) {
  closed_ = true;
  if (depth != shape_.n) {
    fail<ShapeError>("[", who_,
                     "] the nested list is ragged: a number at depth ", depth,
                     " where others have lists");
  }
  const ScalarKind kind = PyComplex_Check(o) ? ScalarKind::complex_
                          : PyFloat_Check(o) ? ScalarKind::float_
                          : PyBool_Check(o)  ? ScalarKind::bool_
                                             : ScalarKind::int_;
  kind_ = std::max(kind_, kind);
  dtype_ = promote(dtype_, known ? *known : default_dtype(kind));
  leaves_.push_back(Py_NewRef(o));
}

bool is_number(PyObject* o) {
  return PyFloat_Check(o) || PyLong_Check(o) || PyComplex_Check(o);
}

// The dtype that `o` has of its own accord, if it has one and tensors have it.
bool has_dtype(PyObject* o, DType* out) {
  if (is_tensor(o)) {
    *out = impl_of(o)->dtype;
    return true;
  }
  return dtype_from(own(PyObject_GetAttrString(o, "dtype")).ptr(), out);
}

// `known`: the dtype of what `o` was taken from.
void Nested::visit(PyObject* o, int depth, const DType* known) {
  nb::object held;
  DType own_dtype;
  if (is_tensor(o) || is_numpy_array(o) || is_numpy_scalar(o)) {
    if (has_dtype(o, &own_dtype)) known = &own_dtype;
    held = own(PyObject_CallMethod(o, "tolist", nullptr));
    o = held.ptr();
  }
  if (is_number(o)) return leaf(o, depth, known);
  if (!PySequence_Check(o) || PyUnicode_Check(o) || PyBytes_Check(o) ||
      PyDict_Check(o)) {
    unknown(o);
  }
  nb::object items = own(PySequence_Tuple(o));
  Py_ssize_t n = PyTuple_GET_SIZE(items.ptr());
  level(n, depth);
  for (Py_ssize_t k = 0; k < n; ++k) {
    visit(PyTuple_GET_ITEM(items.ptr(), k), depth + 1, known);
  }
  if (n == 0) closed_ = true;
}

template <class T>
void store(T* out, const std::vector<PyObject*>& leaves) {
  for (PyObject* o : leaves) {
    Arg a;
    number_from(o, &a);
    *out++ = a.tag == ArgTag::float_  ? static_cast<T>(a.f)
             : a.tag == ArgTag::bool_ ? static_cast<T>(a.b)
                                      : static_cast<T>(a.i);
  }
}

// Real and imaginary parts, one after the other.
template <class T>
void store_complex(T* out, const std::vector<PyObject*>& leaves) {
  for (PyObject* o : leaves) {
    const Py_complex z = PyComplex_AsCComplex(o);
    *out++ = static_cast<T>(z.real);
    *out++ = static_cast<T>(z.imag);
  }
}

// An integer that is written down is meant: it does not wrap.
void Nested::check_range(DType dtype) const {
  const int bits = 8 * static_cast<int>(itemsize(dtype)) - is_signed(dtype);
  const bool narrow = is_integer(dtype) && bits < 63;
  if (!narrow || kind_ != ScalarKind::int_) return;
  const int64_t high = (int64_t{1} << bits) - 1;
  const int64_t low = is_signed(dtype) ? -high - 1 : 0;
  for (PyObject* o : leaves_) {
    Arg a;
    number_from(o, &a);
    if (a.tag != ArgTag::int_ || (a.i >= low && a.i <= high)) continue;
    fail<ValueError>("[", who_, "] ", dtype, " (", low, "..", high,
                     ") cannot hold ", a.i);
  }
}

Tensor Nested::write(DType dtype) {
  check_range(dtype);
  DType own = kind_ == ScalarKind::complex_ ? DType::c128
              : kind_ == ScalarKind::float_ ? DType::f64
                                            : DType::i64;
  if (own == DType::c128 && !is_complex(dtype)) {
    fail<DTypeError>("[", who_, "] a complex number does not fit into ", dtype);
  }
  if ((dtype == DType::f32 || dtype == DType::f64)) {
    own = dtype;
  }
  if (is_complex(dtype)) own = dtype;
  Tensor t = Tensor::empty(shape_, own);
  if (own == DType::c64) {
    store_complex(t.data<float>(), leaves_);
  } else if (own == DType::c128) {
    store_complex(t.data<double>(), leaves_);
  } else if (own == DType::f32) {
    store(t.data<float>(), leaves_);
  } else if (own == DType::f64) {
    store(t.data<double>(), leaves_);
  } else {
    store(t.data<int64_t>(), leaves_);
  }
  return own == dtype ? t : op::cast(t, dtype);
}

}  // namespace

Tensor from_numpy(PyObject* array) {
  if (!is_numpy_array(array)) {
    type_error("[from_numpy] expected a NumPy array, got ",
               Py_TYPE(array)->tp_name, "; use ferrule.tensor(data)");
  }
  return look_into(array, "from_numpy");
}

Tensor copy_of_array(PyObject* array) {
  nb::object dense = own(PyObject_CallMethod(array, "copy", nullptr));
  Tensor view = look_into(dense.ptr(), "tensor");
  Tensor copy = Tensor::empty(view.shape(), view.dtype());
  if (view.numel()) std::memcpy(copy->bytes(), view->bytes(), copy->nbytes());
  return copy;
}

Tensor tensor_from(PyObject* data, const DType* dtype, const char* who) {
  NoGrad no_grad;
  Tensor t;
  if (is_tensor(data)) {
    t = op::clone(tensor_of(data).detach());
  } else if (is_numpy_array(data)) {
    t = copy_of_array(data);
  } else {
    Nested nested(who);
    nested.read(data);
    return nested.write(dtype ? *dtype : nested.dtype());
  }
  return dtype && t.dtype() != *dtype ? op::cast(t, *dtype) : t;
}

// --- functions

namespace {

// Arguments common to tensor() and as_tensor().
struct Request {
  PyObject* data = nullptr;
  bool has_dtype = false, has_device = false;
  DType dtype = DType::f32;
  Device device;

  void read(PyObject* dtype_given, PyObject* device_given, const char* who) {
    has_dtype = dtype_given != Py_None;
    has_device = device_given != Py_None;
    if (has_dtype && !dtype_from(dtype_given, &dtype)) {
      type_error("[", who,
                 "] dtype must be a dtype such as ferrule.float32, "
                 "got ",
                 Py_TYPE(dtype_given)->tp_name);
    }
    if (has_device && !device_from(device_given, &device)) {
      type_error("[", who, "] device must be a device such as \"cpu\", got ",
                 Py_TYPE(device_given)->tp_name);
    }
  }
};

PyObject* tensor(PyObject*, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"data", "dtype", "device", "requires_grad",
                                nullptr};
  PyObject *data, *dtype = Py_None, *device = Py_None;
  int requires_grad = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|OOp:tensor",
                                   const_cast<char**>(names), &data, &dtype,
                                   &device, &requires_grad)) {
    return nullptr;
  }
  return guarded([&] {
    Request r;
    r.read(dtype, device, "tensor");
    if (is_tensor(data)) {
      warn("fe.tensor(t) copies a tensor and leaves its history; say so with "
           "t.detach().clone()");
    }
    Tensor t = tensor_from(data, r.has_dtype ? &r.dtype : nullptr, "tensor");
    if (r.has_device) t = to_device(t, r.device);
    if (requires_grad) set_requires_grad(t, true);
    return wrap(std::move(t));
  });
}

// Whether a tensor can look into it and write: aligned, no negative strides.
bool is_shareable(nb::handle array) {
  if (!nb::cast<bool>(array.attr("flags").attr("behaved"))) return false;
  for (nb::handle stride : array.attr("strides")) {
    if (nb::cast<int64_t>(stride) < 0) return false;
  }
  return true;
}

PyObject* as_tensor(PyObject*, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"data", "dtype", "device", nullptr};
  PyObject *data, *dtype = Py_None, *device = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|OO:as_tensor",
                                   const_cast<char**>(names), &data, &dtype,
                                   &device)) {
    return nullptr;
  }
  return guarded([&] {
    Request r;
    r.read(dtype, device, "as_tensor");
    bool same = is_tensor(data) &&
                (!r.has_dtype || impl_of(data)->dtype == r.dtype) &&
                (!r.has_device || impl_of(data)->device == r.device);
    if (same) return Py_NewRef(data);
    Tensor t;
    if (is_tensor(data)) {
      t = tensor_of(data);
    } else if (is_numpy_array(data) && is_shareable(data)) {
      t = from_numpy(data);
    } else {
      t = tensor_from(data, r.has_dtype ? &r.dtype : nullptr, "as_tensor");
    }
    if (r.has_dtype && t.dtype() != r.dtype) t = op::cast(t, r.dtype);
    if (r.has_device) t = to_device(t, r.device);
    return wrap(std::move(t));
  });
}

PyObject* from_numpy_function(PyObject*, PyObject* array) {
  return guarded([&] { return wrap(from_numpy(array)); });
}

PyMethodDef kFunctions[] = {
    {"tensor", as_function(tensor), METH_VARARGS | METH_KEYWORDS,
     "tensor(data, dtype=None, device=None, requires_grad=False)\n--\n\n"
     "A new tensor with a copy of `data`: a number, nested lists, a NumPy "
     "array "
     "or\na tensor.\n\n"
     "Without `dtype`, Python's bools give bool, ints int64, floats float32 "
     "and\ncomplex numbers complex64; arrays, tensors and NumPy's scalars keep "
     "theirs, and\na list of several has the dtype that they promote to.\n\n"
     "Raises:\n"
     "    ShapeError: the lists are ragged or too deep.\n"
     "    TypeError: something is no number.\n"
     "    ValueError: the dtype cannot hold an integer so large.\n\n"
     "Example:\n"
     "    >>> import ferrule as fe\n"
     "    >>> fe.tensor([[1, 2], [3, 4]]).shape\n"
     "    (2, 2)\n"},
    {"as_tensor", as_function(as_tensor), METH_VARARGS | METH_KEYWORDS,
     "as_tensor(data, dtype=None, device=None)\n--\n\n"
     "`data` as a tensor, without a copy where that is possible: a tensor "
     "stays\n"
     "itself, a writable NumPy array is shared.\n\n"
     "Example:\n"
     "    >>> import ferrule as fe\n"
     "    >>> x = fe.zeros(3)\n"
     "    >>> fe.as_tensor(x) is x\n"
     "    True\n"},
    {"from_numpy", from_numpy_function, METH_O,
     "from_numpy(array)\n--\n\n"
     "A tensor that shares the memory of a NumPy array: a write to one shows "
     "in "
     "the\nother. Of a read-only array the tensor is read-only, too: "
     "operations in place\nraise an error.\n\n"
     "Raises:\n"
     "    ValueError: the array has negative strides or elements that are not\n"
     "        aligned.\n"
     "    DTypeError: no tensor has elements of its type.\n\n"
     "Example:\n"
     "    >>> import numpy as np, ferrule as fe\n"
     "    >>> a = np.zeros(2)\n"
     "    >>> x = fe.from_numpy(a)\n"
     "    >>> a[0] = 5\n"
     "    >>> x.tolist()\n"
     "    [5.0, 0.0]\n"},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void bind_constructors(nb::module_& m) {
  check(PyModule_AddFunctions(m.ptr(), kFunctions));
}

}  // namespace ferrule::python
