// The classes DType and Device, and what else is accepted in their place.
#include <iterator>

#include "binding.h"

namespace ferrule::python {
namespace {

struct PyDType {
  PyObject_HEAD DType value;
};
struct PyDevice {
  PyObject_HEAD Device value;
};

PyTypeObject* dtype_type;
PyTypeObject* device_type;
PyObject* dtypes[kDTypeCount];  // singletons

DType dtype_of(PyObject* o) { return reinterpret_cast<PyDType*>(o)->value; }
Device device_of(PyObject* o) { return reinterpret_cast<PyDevice*>(o)->value; }

PyObject* str(std::string_view s) {
  return PyUnicode_FromStringAndSize(s.data(), s.size());
}

// --- DType

PyObject* dtype_repr(PyObject* self) {
  return str(concat("ferrule.", name(dtype_of(self))));
}
PyObject* dtype_str(PyObject* self) { return str(name(dtype_of(self))); }
// Pickled by name.
PyObject* dtype_reduce(PyObject* self, PyObject*) { return dtype_str(self); }

PyObject* dtype_itemsize(PyObject* self, void*) {
  return PyLong_FromLongLong(itemsize(dtype_of(self)));
}
PyObject* dtype_name(PyObject* self, void*) { return dtype_str(self); }
PyObject* dtype_is_float(PyObject* self, void*) {
  return PyBool_FromLong(is_float(dtype_of(self)));
}
PyObject* dtype_is_complex(PyObject* self, void*) {
  return PyBool_FromLong(is_complex(dtype_of(self)));
}
PyObject* dtype_is_signed(PyObject* self, void*) {
  return PyBool_FromLong(is_signed(dtype_of(self)));
}
PyObject* dtype_to_real(PyObject* self, PyObject*) {
  return wrap_dtype(to_real(dtype_of(self)));
}
PyObject* dtype_to_complex(PyObject* self, PyObject*) {
  return wrap_dtype(to_complex(dtype_of(self)));
}

PyGetSetDef kDTypeProperties[] = {
    {"name", dtype_name, nullptr, "Such as \"float32\".", nullptr},
    {"itemsize", dtype_itemsize, nullptr, "Bytes of one element.", nullptr},
    {"is_floating_point", dtype_is_float, nullptr,
     "Whether it is a floating-point type.", nullptr},
    {"is_complex", dtype_is_complex, nullptr, "Whether it is a complex type.",
     nullptr},
    {"is_signed", dtype_is_signed, nullptr, "Whether it has negative values.",
     nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};
PyMethodDef kDTypeMethods[] = {
    {"to_real", dtype_to_real, METH_NOARGS,
     "to_real($self)\n--\n\nThe dtype of a complex number's parts; others are "
     "themselves."},
    {"to_complex", dtype_to_complex, METH_NOARGS,
     "to_complex($self)\n--\n\nThe complex dtype that numbers of this one "
     "become."},
    {"__reduce__", dtype_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

// --- Device

PyObject* device_new(PyTypeObject*, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"type", nullptr};
  PyObject* text;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:device",
                                   const_cast<char**>(names), &text)) {
    return nullptr;
  }
  return guarded([&] {
    Device d;
    if (!device_from(text, &d)) {
      type_error("device() takes a name such as \"cpu\", got ",
                 Py_TYPE(text)->tp_name);
    }
    return wrap_device(d);
  });
}

PyObject* device_str(PyObject* self) {
  return guarded([&] { return str(to_string(device_of(self))); });
}
PyObject* device_repr(PyObject* self) {
  return guarded([&] {
    return str(concat("device('", to_string(device_of(self)), "')"));
  });
}
PyObject* device_kind(PyObject* self, void*) {
  return guarded([&] {
    std::string s = to_string(device_of(self));
    return str(s.substr(0, s.find(':')));
  });
}
PyObject* device_index(PyObject* self, void*) {
  return PyLong_FromLong(device_of(self).index);
}

PyObject* device_compare(PyObject* a, PyObject* b, int how) {
  if (Py_TYPE(a) != device_type || Py_TYPE(b) != device_type ||
      (how != Py_EQ && how != Py_NE)) {
    Py_RETURN_NOTIMPLEMENTED;
  }
  return PyBool_FromLong((device_of(a) == device_of(b)) == (how == Py_EQ));
}
Py_hash_t device_hash(PyObject* self) {
  Device d = device_of(self);
  return static_cast<int>(d.kind) * 256 + d.index + 1;
}
PyObject* device_reduce(PyObject* self, PyObject*) {
  return guarded([&] {
    nb::object text = own(device_str(self));
    return Py_BuildValue("O(O)", device_type, text.ptr());
  });
}

PyGetSetDef kDeviceProperties[] = {
    {"type", device_kind, nullptr, "Such as \"cpu\".", nullptr},
    {"index", device_index, nullptr, "Its number among those of the type.",
     nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};
PyMethodDef kDeviceMethods[] = {
    {"__reduce__", device_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

// `full`: the name that the package gives it.
PyTypeObject* make_type(nb::module_& m, const char* name, const char* full,
                        int size, unsigned flags, PyType_Slot* slots) {
  PyType_Spec spec = {full, size, 0,
                      static_cast<unsigned>(Py_TPFLAGS_DEFAULT) | flags, slots};
  nb::object type = own(PyType_FromSpec(&spec));
  m.attr(name) = type;
  return reinterpret_cast<PyTypeObject*>(type.release().ptr());
}

// By NumPy's name of the type: "float32", ...
bool dtype_by_name(std::string_view text, DType* out) {
  for (int i = 0; i < kDTypeCount; ++i) {
    if (name(static_cast<DType>(i)) == text) {
      *out = static_cast<DType>(i);
      return true;
    }
  }
  return false;
}

}  // namespace

PyObject* wrap_dtype(DType t) { return Py_NewRef(dtypes[static_cast<int>(t)]); }

bool dtype_from(PyObject* o, DType* out) {
  if (Py_TYPE(o) == dtype_type) {
    *out = dtype_of(o);
    return true;
  }
  struct Builtin {
    PyTypeObject* type;
    DType dtype;
  };
  const Builtin builtins[] = {{&PyFloat_Type, DType::f32},
                              {&PyLong_Type, DType::i64},
                              {&PyBool_Type, DType::bool_},
                              {&PyComplex_Type, DType::c64}};
  for (const Builtin& b : builtins) {
    if (o == reinterpret_cast<PyObject*>(b.type)) {
      *out = b.dtype;
      return true;
    }
  }
  // numpy.dtype("float32") has a name, numpy.float32 is a class of that name.
  std::string_view of = PyType_Check(o)
                            ? reinterpret_cast<PyTypeObject*>(o)->tp_name
                            : Py_TYPE(o)->tp_name;
  if (!of.starts_with("numpy.")) return false;
  const char* attribute = PyType_Check(o) ? "__name__" : "name";
  nb::object text = nb::steal(PyObject_GetAttrString(o, attribute));
  if (!text.is_valid() || !PyUnicode_Check(text.ptr())) {
    PyErr_Clear();
    return false;
  }
  return dtype_by_name(PyUnicode_AsUTF8(text.ptr()), out);
}

PyObject* wrap_device(Device d) {
  auto* o = reinterpret_cast<PyDevice*>(device_type->tp_alloc(device_type, 0));
  if (!o) nb::raise_python_error();
  o->value = d;
  return reinterpret_cast<PyObject*>(o);
}

bool device_from(PyObject* o, Device* out) {
  if (Py_TYPE(o) == device_type) {
    *out = device_of(o);
    return true;
  }
  if (!PyUnicode_Check(o)) return false;
  const char* text = PyUnicode_AsUTF8(o);
  if (!text) nb::raise_python_error();
  *out = parse_device(text);
  return true;
}

void bind_dtypes(nb::module_& m) {
  static const char kDTypeDoc[] =
      "An element type: ferrule.float32, ferrule.int64, ...";
  PyType_Slot dtype_slots[] = {
      {Py_tp_repr, slot(dtype_repr)},
      {Py_tp_str, slot(dtype_str)},
      {Py_tp_getset, kDTypeProperties},
      {Py_tp_methods, kDTypeMethods},
      {Py_tp_doc, const_cast<char*>(kDTypeDoc)},
      {0, nullptr},
  };
  dtype_type = make_type(m, "DType", "ferrule.dtype", sizeof(PyDType),
                         Py_TPFLAGS_DISALLOW_INSTANTIATION, dtype_slots);
  for (int i = 0; i < kDTypeCount; ++i) {
    nb::object o = own(dtype_type->tp_alloc(dtype_type, 0));
    reinterpret_cast<PyDType*>(o.ptr())->value = static_cast<DType>(i);
    m.attr(std::string(name(static_cast<DType>(i))).c_str()) = o;
    dtypes[i] = o.release().ptr();
  }

  static const char kDeviceDoc[] =
      "device(type)\n--\n\n"
      "Where a tensor lives: device(\"cpu\").\n\n"
      "Raises:\n"
      "    DeviceError: there is no such device; the message lists those that "
      "are.\n";
  PyType_Slot device_slots[] = {
      {Py_tp_new, slot(device_new)},
      {Py_tp_repr, slot(device_repr)},
      {Py_tp_str, slot(device_str)},
      {Py_tp_richcompare, slot(device_compare)},
      {Py_tp_hash, slot(device_hash)},
      {Py_tp_getset, kDeviceProperties},
      {Py_tp_methods, kDeviceMethods},
      {Py_tp_doc, const_cast<char*>(kDeviceDoc)},
      {0, nullptr},
  };
  device_type = make_type(m, "Device", "ferrule.device", sizeof(PyDevice), 0,
                          device_slots);
}

}  // namespace ferrule::python
