// DLPack, the exchange of memory with other array libraries: both directions,
// with the versioned capsules of DLPack 1.x and the plain ones before it.
//
// Source: https://dmlc.github.io/dlpack/latest/python_spec.html
#include <cstring>

#include "binding.h"
#include "ferrule/ops.h"

namespace ferrule::python {
namespace {

// --- dlpack.h, version 1.1

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
struct DLPackVersion {
  uint32_t major;
  uint32_t minor;
};
struct DLManagedTensorVersioned {
  DLPackVersion version;
  void* manager_ctx;
  void (*deleter)(DLManagedTensorVersioned*);
  uint64_t flags;
  DLTensor dl_tensor;
};
constexpr DLPackVersion kVersion{1, 1};
constexpr uint64_t kReadOnly = 1, kCopied = 2;  // flags

enum : int32_t { kDLCPU = 1, kDLCUDAHost = 3, kDLROCMHost = 11 };
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

// The two kinds of capsule.
template <class Managed>
struct Capsule;
template <>
struct Capsule<DLManagedTensor> {
  static constexpr const char* kName = "dltensor";
  static constexpr const char* kUsed = "used_dltensor";
};
template <>
struct Capsule<DLManagedTensorVersioned> {
  static constexpr const char* kName = "dltensor_versioned";
  static constexpr const char* kUsed = "used_dltensor_versioned";
};

template <class Managed>
Managed* managed_in(PyObject* capsule) {
  auto* m = static_cast<Managed*>(
      PyCapsule_GetPointer(capsule, Capsule<Managed>::kName));
  if (!m) nb::raise_python_error();
  return m;
}

[[noreturn]] void buffer_error(const std::string& message) {
  PyErr_SetString(PyExc_BufferError, message.c_str());
  nb::raise_python_error();
}

// --- lending

template <class Managed>
struct Lent {
  Managed managed{};
  Tensor tensor;
};

// The destructor of a capsule: nobody may have taken what is in it.
template <class Managed>
void drop_capsule(PyObject* capsule) {
  const char* name = Capsule<Managed>::kName;
  if (!PyCapsule_IsValid(capsule, name)) return;
  auto* m = static_cast<Managed*>(PyCapsule_GetPointer(capsule, name));
  m->deleter(m);
}

template <class Managed>
PyObject* lend(Tensor t, uint64_t flags) {
  auto lent = std::make_unique<Lent<Managed>>();
  Managed& m = lent->managed;
  DLType type = kDLTypes[static_cast<int>(t.dtype())];
  m.dl_tensor = {t->storage ? t->bytes() : nullptr,
                 {kDLCPU, 0},
                 t.ndim(),
                 {type.code, type.bits, 1},
                 t->shape,
                 t->strides,
                 0};
  if constexpr (std::is_same_v<Managed, DLManagedTensorVersioned>) {
    m.version = kVersion;
    m.flags = flags;
  }
  m.manager_ctx = lent.get();
  m.deleter = [](Managed* managed) {
    delete static_cast<Lent<Managed>*>(managed->manager_ctx);
  };
  lent->tensor = std::move(t);
  nb::object capsule =
      own(PyCapsule_New(&m, Capsule<Managed>::kName, drop_capsule<Managed>));
  lent.release();
  return capsule.release().ptr();
}

// A pair of ints such as (1, 0), or false for None.
bool pair_from(PyObject* o, const char* what, Int* first, Int* second) {
  if (o == Py_None) return false;
  bool ok = PyTuple_Check(o) && PyTuple_GET_SIZE(o) == 2 &&
            int_from(PyTuple_GET_ITEM(o, 0), first) &&
            int_from(PyTuple_GET_ITEM(o, 1), second);
  if (!ok) type_error("[__dlpack__] ", what, " must be None or two ints");
  return true;
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
    if (!t.device().is_cpu()) {
      buffer_error(t.device().is_graph()
                       ? "a symbolic tensor has no memory to lend"
                       : "the tensor is not in CPU memory; move it with "
                         ".to(\"cpu\")");
    }
    if (t.requires_grad()) {
      buffer_error("the tensor requires grad, and the history would be lost; "
                   "lend tensor.detach()");
    }
    if (stream != Py_None) {
      fail<ValueError>("[__dlpack__] memory of the CPU has no streams: stream "
                       "must be None");
    }
    Int type, index, major, minor;
    if (pair_from(device, "dl_device", &type, &index) &&
        !(type.value == kDLCPU && index.value == 0)) {
      buffer_error(concat("the tensor can be lent to the CPU, (1, 0), only, "
                          "not to device (",
                          type.value, ", ", index.value, ")"));
    }
    bool versioned =
        pair_from(version, "max_version", &major, &minor) && major.value >= 1;
    bool copies = copy == Py_True;
    if (copies) t = op::clone(t);
    bool read_only = t->storage && t->storage->read_only;
    if (!versioned && read_only) {
      buffer_error("the memory is read-only, which a consumer without "
                   "DLPack 1.0 (max_version) cannot know; lend a copy");
    }
    if (!versioned) return lend<DLManagedTensor>(std::move(t), 0);
    return lend<DLManagedTensorVersioned>(
        std::move(t), (read_only ? kReadOnly : 0) | (copies ? kCopied : 0));
  });
}

PyObject* dlpack_device(PyObject* self, PyObject*) {
  return guarded([&] {
    if (!impl_of(self)->device.is_cpu()) {
      buffer_error("the tensor is not in CPU memory");
    }
    return Py_BuildValue("(ii)", kDLCPU, 0);
  });
}

// --- borrowing

bool in_host_memory(int64_t device_type) {
  return device_type == kDLCPU || device_type == kDLCUDAHost ||
         device_type == kDLROCMHost;
}

DType dtype_of(const DLDataType& d) {
  for (int i = 0; i < kDTypeCount; ++i) {
    if (kDLTypes[i].code == d.code && kDLTypes[i].bits == d.bits &&
        d.lanes == 1) {
      return static_cast<DType>(i);
    }
  }
  fail<DTypeError>("[from_dlpack] no tensor has elements of DLPack's type "
                   "code ",
                   static_cast<int>(d.code), " with ", static_cast<int>(d.bits),
                   " bits and ", d.lanes, " lanes");
}

// Why a tensor cannot look into the memory itself, or nullptr.
const char* obstacle(const DLTensor& d, const Dims& shape,
                     const Dims& strides) {
  for (int i = 0; i < shape.n; ++i) {
    if (strides[i] < 0 && shape[i] > 1) return "it has negative strides";
  }
  // Complex numbers are aligned as their parts are.
  int64_t align = d.dtype.bits / (d.dtype.code == kDLComplex ? 16 : 8);
  if ((reinterpret_cast<uintptr_t>(d.data) + d.byte_offset) % align != 0) {
    return "its elements are not aligned";
  }
  return nullptr;
}

// Copies the elements at `p` densely to `out`, in row-major order.
void gather(const char* p, char*& out, const Dims& shape, const Dims& strides,
            int64_t item, int dim) {
  if (dim == shape.n) {
    std::memcpy(out, p, item);
    out += item;
    return;
  }
  for (int64_t i = 0; i < shape[dim]; ++i) {
    gather(p + i * strides[dim] * item, out, shape, strides, item, dim + 1);
  }
}

// What the user wants: True, False or None, for "only if needed".
enum class Copy : uint8_t { never, if_needed, always };

// Takes the memory over from the capsule, or leaves the capsule as it is.
template <class Managed>
Tensor borrow(PyObject* capsule, Copy copy) {
  auto* m = managed_in<Managed>(capsule);
  bool read_only = false, copied = false;
  if constexpr (std::is_same_v<Managed, DLManagedTensorVersioned>) {
    if (m->version.major > kVersion.major) {
      buffer_error(concat("the memory is described as of DLPack ",
                          m->version.major, ".", m->version.minor,
                          ", which is newer than ", kVersion.major, ".x"));
    }
    read_only = m->flags & kReadOnly;
    copied = m->flags & kCopied;
  }
  const DLTensor& d = m->dl_tensor;
  if (!in_host_memory(d.device.device_type)) {
    fail<DeviceError>("[from_dlpack] the memory is on a device of DLPack's "
                      "type ",
                      d.device.device_type,
                      "; from_dlpack(x, device=\"cpu\") asks its owner for a "
                      "copy");
  }
  DType dtype = dtype_of(d.dtype);
  if (d.ndim < 0 || d.ndim > kMaxRank) {
    fail<ShapeError>("[from_dlpack] ", d.ndim,
                     " dimensions; a tensor has at most ", kMaxRank);
  }
  Dims shape(std::span<const int64_t>(d.shape, d.ndim));
  for (int64_t n : shape) {
    if (n < 0) fail<ShapeError>("[from_dlpack] negative size in ", shape);
  }
  int64_t numel = checked_numel(shape);
  Dims strides = d.strides ? Dims(std::span<const int64_t>(d.strides, d.ndim))
                           : contiguous_strides(shape);
  const char* why = numel ? obstacle(d, shape, strides) : nullptr;
  if (why && copy == Copy::never) {
    buffer_error(concat("the memory cannot be shared without a copy: ", why));
  }
  char* data = static_cast<char*>(d.data) + d.byte_offset;
  if (why || numel == 0 || (copy == Copy::always && !copied)) {
    Tensor t = Tensor::empty(shape, dtype);
    char* out = t->bytes();
    if (numel) gather(data, out, shape, strides, itemsize(dtype), 0);
    return t;
  }
  Tensor t = Tensor::wrap(
      data, shape, strides, dtype, {},
      [](void* context) {
        auto* managed = static_cast<Managed*>(context);
        if (!managed->deleter || !Py_IsInitialized()) return;
        PyGILState_STATE state = PyGILState_Ensure();
        managed->deleter(managed);
        PyGILState_Release(state);
      },
      m);
  t->storage->read_only = read_only;
  check(PyCapsule_SetName(capsule, Capsule<Managed>::kUsed));
  return t;
}

// source.__dlpack__(...), with what producers of DLPack 1.0 know.
nb::object request_capsule(PyObject* source, bool to_cpu, PyObject* copy) {
  nb::object method = own(PyObject_GetAttrString(source, "__dlpack__"));
  nb::object kwargs =
      own(Py_BuildValue("{s(II)sO}", "max_version", kVersion.major,
                        kVersion.minor, "copy", copy));
  if (to_cpu) {
    nb::object cpu = own(Py_BuildValue("(ii)", kDLCPU, 0));
    check(PyDict_SetItemString(kwargs.ptr(), "dl_device", cpu.ptr()));
  }
  nb::object none = own(PyTuple_New(0));
  PyObject* capsule = PyObject_Call(method.ptr(), none.ptr(), kwargs.ptr());
  if (!capsule && PyErr_ExceptionMatches(PyExc_TypeError)) {
    PyErr_Clear();  // a producer that knows none of these arguments
    capsule = PyObject_CallNoArgs(method.ptr());
  }
  return own(capsule);
}

// Its device; objects without __dlpack_device__ are asked for their capsule.
int64_t device_type_of(PyObject* source) {
  nb::object device =
      own(PyObject_CallMethod(source, "__dlpack_device__", nullptr));
  if (!PyTuple_Check(device.ptr()) || PyTuple_GET_SIZE(device.ptr()) != 2) {
    type_error("[from_dlpack] __dlpack_device__() must return two ints");
  }
  // An enum with int values, for some.
  nb::object type = own(PyNumber_Long(PyTuple_GET_ITEM(device.ptr(), 0)));
  int64_t value = PyLong_AsLongLong(type.ptr());
  if (value == -1 && PyErr_Occurred()) nb::raise_python_error();
  return value;
}

PyObject* from_dlpack(PyObject*, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"x", "device", "copy", nullptr};
  PyObject *source, *device = Py_None, *copy = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$OO:from_dlpack",
                                   const_cast<char**>(names), &source, &device,
                                   &copy)) {
    return nullptr;
  }
  return guarded([&] {
    Device target;
    if (device != Py_None && !device_from(device, &target)) {
      type_error("[from_dlpack] device must be a device such as \"cpu\", got ",
                 Py_TYPE(device)->tp_name);
    }
    if (copy != Py_None && !PyBool_Check(copy)) {
      type_error("[from_dlpack] copy must be True, False or None");
    }
    nb::object capsule;
    if (PyCapsule_CheckExact(source)) {
      capsule = nb::borrow(source);
    } else {
      bool on_host = in_host_memory(device_type_of(source));
      if (!on_host && device == Py_None) {
        fail<DeviceError>("[from_dlpack] the ", Py_TYPE(source)->tp_name,
                          " is not in CPU memory; from_dlpack(x, "
                          "device=\"cpu\") asks it for a copy");
      }
      capsule = request_capsule(source, !on_host, copy);
    }
    Copy mode = copy == Py_True    ? Copy::always
                : copy == Py_False ? Copy::never
                                   : Copy::if_needed;
    bool versioned = PyCapsule_IsValid(
        capsule.ptr(), Capsule<DLManagedTensorVersioned>::kName);
    Tensor t = versioned ? borrow<DLManagedTensorVersioned>(capsule.ptr(), mode)
                         : borrow<DLManagedTensor>(capsule.ptr(), mode);
    if (device != Py_None && target != t.device() && mode == Copy::never) {
      buffer_error("a tensor on another device needs a copy");
    }
    return wrap(device == Py_None ? std::move(t) : to_device(t, target));
  });
}

PyMethodDef kFunctions[] = {
    {"from_dlpack", as_function(from_dlpack), METH_VARARGS | METH_KEYWORDS,
     "from_dlpack(x, *, device=None, copy=None)\n--\n\n"
     "A tensor that shares memory with an array of another library, by "
     "DLPack.\n\n"
     "Args:\n"
     "    x: what has the methods __dlpack__ and __dlpack_device__, such as an "
     "array\n"
     "        of NumPy, PyTorch or JAX; or a DLPack capsule.\n"
     "    device: where the tensor shall be; None leaves it where it is.\n"
     "    copy: True copies always, False never, None only where memory cannot "
     "be\n"
     "        shared: negative strides, elements that are not aligned.\n\n"
     "Returns:\n"
     "    A tensor; writing to it in place raises an error where the owner of "
     "the\n"
     "    memory made it read-only.\n\n"
     "Raises:\n"
     "    BufferError: `copy` is False and a copy is needed.\n"
     "    DTypeError: no tensor has elements of this type.\n"
     "    DeviceError: the memory is on another device and `device` is None.\n"
     "\n"
     "Example:\n"
     "    >>> import numpy as np, ferrule as fe\n"
     "    >>> fe.from_dlpack(np.arange(3)).tolist()\n"
     "    [0, 1, 2]\n\n"
     "Source: https://dmlc.github.io/dlpack/latest/python_spec.html\n"},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

PyMethodDef kDLPackMethods[] = {
    {"__dlpack__", as_function(dlpack), METH_VARARGS | METH_KEYWORDS,
     "__dlpack__($self, /, *, stream=None, max_version=None, dl_device=None, "
     "copy=None)\n--\n\n"
     "A DLPack capsule that lends the memory; see from_dlpack."},
    {"__dlpack_device__", dlpack_device, METH_NOARGS,
     "__dlpack_device__($self, /)\n--\n\n"
     "DLPack's type and number of the device."},
    {nullptr, nullptr, 0, nullptr},
};

void bind_dlpack(nb::module_& m) {
  check(PyModule_AddFunctions(m.ptr(), kFunctions));
}

}  // namespace ferrule::python
