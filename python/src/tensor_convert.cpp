// Methods of Tensor that convert: dtype, device, layout, history.
#include "binding.h"
#include "ferrule/autograd.h"
#include "ferrule/ops.h"

namespace ferrule::python {
namespace {

PyObject* cast_to(PyObject* self, DType t) {
  if (impl_of(self)->dtype == t) return Py_NewRef(self);
  return wrap(op::cast(impl_of(self), t));
}

template <DType kType>
PyObject* cast_method(PyObject* self, PyObject*) {
  return guarded([&] { return cast_to(self, kType); });
}

// What to(...) is asked for; each of the two may be left out.
struct Target {
  bool has_dtype = false, has_device = false, copy = false;
  DType dtype = DType::f32;
  Device device;

  void add(PyObject* o) {
    if (o == Py_None) return;
    if (is_tensor(o)) {
      has_dtype = has_device = true;
      dtype = impl_of(o)->dtype;
      device = impl_of(o)->device;
    } else if (device_from(o, &device)) {
      has_device = true;
    } else if (dtype_from(o, &dtype)) {
      has_dtype = true;
    } else {
      type_error("[to] expected a dtype, a device or a tensor, got ",
                 Py_TYPE(o)->tp_name);
    }
  }
};

PyObject* to(PyObject* self, PyObject* args, PyObject* kwargs) {
  return guarded([&] {
    Target target;
    PyObject* format = Py_None;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); ++i) {
      target.add(PyTuple_GET_ITEM(args, i));
    }
    PyObject *key, *value;
    for (Py_ssize_t at = 0; kwargs && PyDict_Next(kwargs, &at, &key, &value);) {
      std::string_view name = PyUnicode_AsUTF8(key);
      if (name == "dtype" || name == "device" || name == "other") {
        target.add(value);
      } else if (name == "memory_format") {
        format = value;
      } else if (name == "copy") {
        target.copy = PyObject_IsTrue(value) == 1;
      } else {
        type_error("[to] unknown argument '", name,
                   "'\n  to(dtype | device | tensor, *, dtype, device, copy, "
                   "memory_format)");
      }
    }
    Tensor t = tensor_of(self);
    if (target.has_dtype && t.dtype() != target.dtype) {
      t = op::cast(t, target.dtype);
    }
    if (target.has_device) t = to_device(t, target.device);
    t = to_memory_format(t, format);
    if (t.impl() != impl_of(self)) return wrap(std::move(t));
    return target.copy ? wrap(op::clone(t)) : Py_NewRef(self);
  });
}

PyObject* cpu(PyObject* self, PyObject*) {
  return guarded([&] {
    if (impl_of(self)->device.is_cpu()) return Py_NewRef(self);
    return wrap(to_device(tensor_of(self), {}));
  });
}

// The Array API's name for to(device).
PyObject* to_device_method(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"device", "stream", nullptr};
  PyObject *where, *stream = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$O:to_device",
                                   const_cast<char**>(names), &where,
                                   &stream)) {
    return nullptr;
  }
  return guarded([&] {
    Device device;
    if (!device_from(where, &device)) {
      type_error("[to_device] device must be a device such as \"cpu\", got ",
                 Py_TYPE(where)->tp_name);
    }
    if (stream != Py_None) {
      fail<ValueError>("[to_device] streams cannot be chosen; stream must be "
                       "None");
    }
    if (impl_of(self)->device == device) return Py_NewRef(self);
    return wrap(to_device(tensor_of(self), device));
  });
}

PyObject* type_as(PyObject* self, PyObject* other) {
  return guarded([&] {
    if (!is_tensor(other)) type_error("[type_as] expected a Tensor");
    return cast_to(self, impl_of(other)->dtype);
  });
}

PyObject* detach(PyObject* self, PyObject*) {
  return guarded([&] { return wrap(tensor_of(self).detach()); });
}

PyObject* detach_(PyObject* self, PyObject*) {
  return guarded([&] {
    const TensorImpl* t = impl_of(self);
    if (t->root) {
      fail<AutogradError>("[detach_] a view cannot be detached in place; use "
                          "detach()");
    }
    if (t->history || t->requires_grad) replace(self, tensor_of(self).detach());
    return Py_NewRef(self);
  });
}

PyObject* requires_grad_(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"requires_grad", nullptr};
  int on = 1;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|p:requires_grad_",
                                   const_cast<char**>(names), &on)) {
    return nullptr;
  }
  return guarded([&] {
    set_requires_grad(tensor_of(self), on != 0);
    return Py_NewRef(self);
  });
}

}  // namespace

PyMethodDef kConvertMethods[] = {
    {"to", as_function(to), METH_VARARGS | METH_KEYWORDS,
     "to($self, *args, dtype=None, device=None, copy=False, "
     "memory_format=None)\n--\n\n"
     "The tensor with another dtype, on another device, or both; itself when\n"
     "nothing changes. to(dtype), to(device), to(device, dtype), "
     "to(tensor).\n\n"
     "Example:\n"
     "    >>> import ferrule as fe\n"
     "    >>> fe.tensor([1.5]).to(fe.int64).tolist()\n"
     "    [1]\n"},
    {"cpu", cpu, METH_NOARGS, "cpu($self)\n--\n\nThe tensor in CPU memory."},
    {"to_device", as_function(to_device_method), METH_VARARGS | METH_KEYWORDS,
     "to_device($self, device, /, *, stream=None)\n--\n\n"
     "The tensor on another device: the Array API's name for to(device)."},
    {"float", cast_method<DType::f32>, METH_NOARGS,
     "float($self)\n--\n\nThe tensor as float32."},
    {"double", cast_method<DType::f64>, METH_NOARGS,
     "double($self)\n--\n\nThe tensor as float64."},
    {"half", cast_method<DType::f16>, METH_NOARGS,
     "half($self)\n--\n\nThe tensor as float16."},
    {"bfloat16", cast_method<DType::bf16>, METH_NOARGS,
     "bfloat16($self)\n--\n\nThe tensor as bfloat16."},
    {"long", cast_method<DType::i64>, METH_NOARGS,
     "long($self)\n--\n\nThe tensor as int64."},
    {"int", cast_method<DType::i32>, METH_NOARGS,
     "int($self)\n--\n\nThe tensor as int32."},
    {"short", cast_method<DType::i16>, METH_NOARGS,
     "short($self)\n--\n\nThe tensor as int16."},
    {"char", cast_method<DType::i8>, METH_NOARGS,
     "char($self)\n--\n\nThe tensor as int8."},
    {"byte", cast_method<DType::u8>, METH_NOARGS,
     "byte($self)\n--\n\nThe tensor as uint8."},
    {"bool", cast_method<DType::bool_>, METH_NOARGS,
     "bool($self)\n--\n\nThe tensor as bool: True where it is not 0."},
    {"type_as", type_as, METH_O,
     "type_as($self, other)\n--\n\nThe tensor with the dtype of another."},
    {"detach", detach, METH_NOARGS,
     "detach($self)\n--\n\n"
     "The same memory without history: no gradient flows through it."},
    {"detach_", detach_, METH_NOARGS,
     "detach_($self)\n--\n\n"
     "This tensor leaves its history and becomes a leaf without gradient.\n\n"
     "Raises:\n"
     "    AutogradError: it is a view of another tensor.\n"},
    {"requires_grad_", as_function(requires_grad_),
     METH_VARARGS | METH_KEYWORDS,
     "requires_grad_($self, requires_grad=True)\n--\n\n"
     "Asks for (or stops) gradients of this leaf; returns it.\n\n"
     "Raises:\n"
     "    AutogradError: the dtype is not floating, or it is no leaf.\n"},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace ferrule::python
