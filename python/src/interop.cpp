// Memory shared with others: the buffer protocol, NumPy, DLPack; pickling.
#include <cstring>

#include "binding.h"
#include "ferrule/autograd.h"
#include "ferrule/ops.h"

namespace ferrule::python {
namespace {

// --- buffer protocol

// NumPy's int64 is the C type `long` where that has 64 bits.
constexpr const char* kInt64 = sizeof(long) == 8 ? "l" : "q";

const char* format_of(DType t) {
  static const char* const kCodes[kDTypeCount] = {
      "?", "B", "b", "h", "i", kInt64, "e", nullptr, "f", "d", "Zf", "Zd"};
  return kCodes[static_cast<int>(t)];
}

// Keeps what a consumer looks into, whatever the tensor becomes meanwhile.
struct Exported {
  Tensor tensor;
  Py_ssize_t shape[kMaxRank], strides[kMaxRank];
};

// Why the memory of `t` cannot be given away, or nullptr.
const char* obstacle(const Tensor& t) {
  if (t.device().is_graph()) return "it is symbolic";
  if (!t.device().is_cpu()) {
    return "it is not in CPU memory; move it with .to(\"cpu\")";
  }
  if (t.requires_grad()) {
    return "it requires grad and the history would be lost; write "
           ".detach().numpy()";
  }
  if (!format_of(t.dtype())) {
    return "NumPy has no bfloat16; convert with .float()";
  }
  return nullptr;
}

}  // namespace

int get_buffer(PyObject* self, Py_buffer* view, int flags) {
  return guarded_int([&] {
    view->obj = nullptr;
    Tensor t = tensor_of(self);
    const char* why = obstacle(t);
    if (!why && !t.is_contiguous() &&
        (flags & PyBUF_STRIDES) != PyBUF_STRIDES) {
      why = "it is not contiguous";
    }
    bool wants_c = (flags & PyBUF_C_CONTIGUOUS) == PyBUF_C_CONTIGUOUS ||
                   (flags & PyBUF_ANY_CONTIGUOUS) == PyBUF_ANY_CONTIGUOUS;
    if (!why && !t.is_contiguous() && wants_c) why = "it is not contiguous";
    if (why) {
      PyErr_Format(PyExc_BufferError, "the tensor has no buffer: %s", why);
      return -1;
    }
    auto exported = std::make_unique<Exported>();
    for (int i = 0; i < t.ndim(); ++i) {
      exported->shape[i] = t.size(i);
      exported->strides[i] = t.strides()[i] * itemsize(t.dtype());
    }
    static char nothing;
    view->buf = t.numel() ? t->bytes() : &nothing;
    view->len = t->nbytes();
    view->itemsize = itemsize(t.dtype());
    view->readonly = 0;
    view->ndim = t.ndim();
    view->format = flags & PyBUF_FORMAT
                       ? const_cast<char*>(format_of(t.dtype()))
                       : nullptr;
    view->shape = flags & PyBUF_ND ? exported->shape : nullptr;
    view->strides =
        (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? exported->strides : nullptr;
    view->suboffsets = nullptr;
    exported->tensor = std::move(t);
    view->internal = exported.release();
    view->obj = Py_NewRef(self);
    return 0;
  });
}

void release_buffer(PyObject*, Py_buffer* view) {
  delete static_cast<Exported*>(view->internal);
}

PyObject* to_numpy(const Tensor& t) {
  if (const char* why = obstacle(t)) {
    if (t.requires_grad() && t.device().is_cpu()) {
      fail<AutogradError>("[numpy] a tensor of shape ", t.shape(),
                          " cannot become an array: ", why);
    }
    fail<RuntimeError>("[numpy] a tensor of shape ", t.shape(),
                       " cannot become an array: ", why);
  }
  // An object of its own: the array lives on when the tensor is replaced.
  nb::object holder = nb::steal(wrap(t));
  nb::module_ numpy = nb::module_::import_("numpy");
  nb::object view = own(PyMemoryView_FromObject(holder.ptr()));
  return numpy.attr("asarray")(view).release().ptr();
}

// --- DLPack

namespace {

// From dlpack.h, version 0.8: https://dmlc.github.io/dlpack/latest/c_api.html
struct DLDevice {
  int32_t device_type;
  int32_t device_id;
};
struct DLDataType {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
};
struct DLTensor {
  void* data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t* shape;
  int64_t* strides;
  uint64_t byte_offset;
};
struct DLManagedTensor {
  DLTensor dl_tensor;
  void* manager_ctx;
  void (*deleter)(DLManagedTensor*);
};
constexpr int32_t kDLCPU = 1;
enum DLCode : uint8_t {
  kDLInt = 0,
  kDLUInt = 1,
  kDLFloat = 2,
  kDLBfloat = 4,
  kDLComplex = 5,
  kDLBool = 6,
};

struct DLType {
  DLCode code;
  uint8_t bits;
};
constexpr DLType kDLTypes[kDTypeCount] = {
    {kDLBool, 8},   {kDLUInt, 8},   {kDLInt, 8},      {kDLInt, 16},
    {kDLInt, 32},   {kDLInt, 64},   {kDLFloat, 16},   {kDLBfloat, 16},
    {kDLFloat, 32}, {kDLFloat, 64}, {kDLComplex, 64}, {kDLComplex, 128},
};

struct Lent {
  DLManagedTensor managed;
  Tensor tensor;
};

void drop_capsule(PyObject* capsule) {
  if (!PyCapsule_IsValid(capsule, "dltensor")) return;  // consumed
  auto* m =
      static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule, "dltensor"));
  m->deleter(m);
}

PyObject* dlpack(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"stream", "max_version", "dl_device", "copy",
                                nullptr};
  PyObject *stream = Py_None, *version = Py_None, *device = Py_None;
  PyObject* copy = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OOOO:__dlpack__",
                                   const_cast<char**>(names), &stream, &version,
                                   &device, &copy)) {
    return nullptr;
  }
  return guarded([&] {
    Tensor t = tensor_of(self);
    if (!t.device().is_cpu() || t.requires_grad()) {
      const char* why = obstacle(t);
      PyErr_Format(PyExc_BufferError, "the tensor cannot be lent: %s", why);
      nb::raise_python_error();
    }
    if (copy == Py_True) t = op::clone(t);
    auto* lent = new Lent;
    DLTensor& d = lent->managed.dl_tensor;
    DLType type = kDLTypes[static_cast<int>(t.dtype())];
    d.data = t->bytes();
    d.device = {kDLCPU, 0};
    d.ndim = t.ndim();
    d.dtype = {type.code, type.bits, 1};
    d.shape = t->shape;
    d.strides = t->strides;
    d.byte_offset = 0;
    lent->managed.manager_ctx = lent;
    lent->managed.deleter = [](DLManagedTensor* m) {
      delete static_cast<Lent*>(m->manager_ctx);
    };
    lent->tensor = std::move(t);
    PyObject* capsule = PyCapsule_New(&lent->managed, "dltensor", drop_capsule);
    if (!capsule) delete lent;
    return capsule;
  });
}

PyObject* dlpack_device(PyObject* self, PyObject*) {
  return guarded([&] {
    if (!impl_of(self)->device.is_cpu()) {
      PyErr_SetString(PyExc_BufferError, "the tensor is not in CPU memory");
      nb::raise_python_error();
    }
    return Py_BuildValue("(ii)", kDLCPU, 0);
  });
}

Tensor borrow(PyObject* capsule) {
  auto* m =
      static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule, "dltensor"));
  if (!m) nb::raise_python_error();
  const DLTensor& d = m->dl_tensor;
  if (d.device.device_type != kDLCPU) {
    fail<DeviceError>(
        "[from_dlpack] the memory is on a device of DLPack's type ",
        d.device.device_type, "; copy it to the CPU first");
  }
  int dtype = 0;
  while (dtype < kDTypeCount && (kDLTypes[dtype].code != d.dtype.code ||
                                 kDLTypes[dtype].bits != d.dtype.bits)) {
    ++dtype;
  }
  if (dtype == kDTypeCount || d.dtype.lanes != 1) {
    fail<DTypeError>("[from_dlpack] no tensor has elements of DLPack's type "
                     "code ",
                     d.dtype.code, " with ", d.dtype.bits, " bits");
  }
  if (d.ndim > kMaxRank) {
    fail<ShapeError>("[from_dlpack] ", d.ndim,
                     " dimensions; a tensor has at "
                     "most ",
                     kMaxRank);
  }
  Dims shape(std::span<const int64_t>(d.shape, d.ndim));
  Dims strides = d.strides ? Dims(std::span<const int64_t>(d.strides, d.ndim))
                           : contiguous_strides(shape);
  for (int i = 0; i < shape.n; ++i) {
    if (strides[i] < 0 && shape[i] > 1) {
      fail<ValueError>("[from_dlpack] negative strides cannot be shared; copy "
                       "the array first");
    }
  }
  Tensor t = Tensor::wrap(
      static_cast<char*>(d.data) + d.byte_offset, shape, strides,
      static_cast<DType>(dtype), {},
      [](void* context) {
        auto* managed = static_cast<DLManagedTensor*>(context);
        if (!managed->deleter || !Py_IsInitialized()) return;
        PyGILState_STATE state = PyGILState_Ensure();
        managed->deleter(managed);
        PyGILState_Release(state);
      },
      m);
  check(PyCapsule_SetName(capsule, "used_dltensor"));
  return t;
}

PyObject* from_dlpack(PyObject*, PyObject* source) {
  return guarded([&] {
    nb::object capsule =
        PyCapsule_CheckExact(source)
            ? nb::borrow(source)
            : own(PyObject_CallMethod(source, "__dlpack__", nullptr));
    return wrap(borrow(capsule.ptr()));
  });
}

// --- NumPy

PyObject* numpy_method(PyObject* self, PyObject*) {
  return guarded([&] { return to_numpy(tensor_of(self)); });
}

PyObject* array_method(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"dtype", "copy", nullptr};
  PyObject *dtype = Py_None, *copy = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:__array__",
                                   const_cast<char**>(names), &dtype, &copy)) {
    return nullptr;
  }
  return guarded([&] {
    nb::object array = nb::steal(to_numpy(tensor_of(self)));
    bool cast = dtype != Py_None;
    if (cast) {
      nb::object same = own(PyObject_RichCompare(
          nb::object(array.attr("dtype")).ptr(), dtype, Py_EQ));
      cast = PyObject_IsTrue(same.ptr()) == 0;
    }
    if (cast && copy == Py_False) {
      fail<ValueError>("[__array__] a conversion needs a copy");
    }
    if (cast) return array.attr("astype")(nb::handle(dtype)).release().ptr();
    if (copy == Py_True) return array.attr("copy")().release().ptr();
    return array.release().ptr();
  });
}

// --- pickling and copying

PyObject* rebuild_function;

// (_rebuild_tensor, (bytes, dtype, shape, requires_grad)): data, no code.
PyObject* reduce_ex(PyObject* self, PyObject*) {
  return guarded([&] {
    Tensor t = tensor_of(self);
    if (t->history) {
      fail<AutogradError>("[pickle] only leaf tensors can be pickled or deep "
                          "copied, this one is the result of '",
                          history_name(t), "'; use detach()");
    }
    NoGrad no_grad;
    Tensor host = on_host(t.detach(), "pickle");
    if (!host.is_contiguous()) host = op::clone(host);
    nb::object bytes =
        own(PyBytes_FromStringAndSize(host->bytes(), host->nbytes()));
    nb::object shape = own(shape_tuple(t.impl()));
    std::string dtype(name(t.dtype()));
    PyObject* on = t->requires_grad ? Py_True : Py_False;
    return Py_BuildValue("O(OsOO)", rebuild_function, bytes.ptr(),
                         dtype.c_str(), shape.ptr(), on);
  });
}

PyObject* rebuild(PyObject*, PyObject* args) {
  PyObject *bytes, *shape;
  const char* dtype_name;
  int requires_grad;
  if (!PyArg_ParseTuple(args, "SsO!p:_rebuild_tensor", &bytes, &dtype_name,
                        &PyTuple_Type, &shape, &requires_grad)) {
    return nullptr;
  }
  return guarded([&] {
    int t = 0;
    while (t < kDTypeCount && name(static_cast<DType>(t)) != dtype_name) ++t;
    Dims dims;
    bool ok = t < kDTypeCount && PyTuple_GET_SIZE(shape) <= kMaxRank;
    for (Py_ssize_t i = 0; ok && i < PyTuple_GET_SIZE(shape); ++i) {
      Int size;
      ok = int_from(PyTuple_GET_ITEM(shape, i), &size) && size.value >= 0;
      dims.push(size.value);
    }
    auto dtype = static_cast<DType>(t);
    if (!ok ||
        checked_numel(dims) * itemsize(dtype) != PyBytes_GET_SIZE(bytes)) {
      fail<FormatError>("[pickle] damaged tensor: dtype '", dtype_name,
                        "' and its shape do not match ",
                        static_cast<int64_t>(PyBytes_GET_SIZE(bytes)),
                        " bytes");
    }
    Tensor x = Tensor::empty(dims, dtype);
    std::memcpy(x->bytes(), PyBytes_AS_STRING(bytes), x->nbytes());
    if (requires_grad) set_requires_grad(x, true);
    return wrap(std::move(x));
  });
}

PyObject* deep_copy(PyObject* self, PyObject* memo) {
  return guarded([&] {
    Tensor t = tensor_of(self);
    if (t->history) {
      fail<AutogradError>("[deepcopy] only leaf tensors can be pickled or deep "
                          "copied, this one is the result of '",
                          history_name(t), "'; use detach()");
    }
    NoGrad no_grad;
    Tensor copy = op::clone(t.detach());
    if (t->requires_grad) set_requires_grad(copy, true);
    nb::object result = nb::steal(wrap(std::move(copy)));
    if (PyDict_Check(memo)) {
      nb::object key = own(PyLong_FromVoidPtr(self));
      check(PyDict_SetItem(memo, key.ptr(), result.ptr()));
    }
    return result.release().ptr();
  });
}

PyObject* shallow_copy(PyObject* self, PyObject*) {
  return guarded([&] { return wrap(tensor_of(self)); });
}

}  // namespace

PyMethodDef kInteropMethods[] = {
    {"numpy", numpy_method, METH_NOARGS,
     "numpy($self)\n--\n\n"
     "The tensor as a NumPy array that shares its memory.\n\n"
     "Raises:\n"
     "    AutogradError: the tensor requires grad; detach() it first.\n\n"
     "Example:\n"
     "    >>> import ferrule as fe\n"
     "    >>> fe.tensor([1, 2]).numpy()\n"
     "    array([1, 2])\n"},
    {"__array__", as_function(array_method), METH_VARARGS | METH_KEYWORDS,
     nullptr},
    {"__dlpack__", as_function(dlpack), METH_VARARGS | METH_KEYWORDS, nullptr},
    {"__dlpack_device__", dlpack_device, METH_NOARGS, nullptr},
    {"__reduce_ex__", reduce_ex, METH_O, nullptr},
    {"__deepcopy__", deep_copy, METH_O, nullptr},
    {"__copy__", shallow_copy, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

namespace {

PyMethodDef kFunctions[] = {
    {"from_dlpack", from_dlpack, METH_O,
     "from_dlpack(source)\n--\n\n"
     "A tensor that shares memory with an object of another library, by "
     "DLPack.\n\n"
     "Example:\n"
     "    >>> import numpy as np, ferrule as fe\n"
     "    >>> fe.from_dlpack(np.arange(3)).tolist()\n"
     "    [0, 1, 2]\n"},
    {"_rebuild_tensor", rebuild, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void bind_interop(nb::module_& m) {
  check(PyModule_AddFunctions(m.ptr(), kFunctions));
  rebuild_function = nb::object(m.attr("_rebuild_tensor")).release().ptr();
}

}  // namespace ferrule::python
