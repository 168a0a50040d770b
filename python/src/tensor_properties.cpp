// Properties of Tensor, and the methods that only look.
#include "binding.h"
#include "ferrule/autograd.h"
#include "ferrule/ops.h"

namespace ferrule::python {

PyObject* shape_tuple(const TensorImpl* t) {
  nb::object tuple = own(PyTuple_New(t->ndim));
  bool symbolic = t->device.is_graph();
  for (int i = 0; i < t->ndim; ++i) {
    PyObject* n = symbolic
                      ? wrap_int(size_of(t, i))
                      : own(PyLong_FromLongLong(t->shape[i])).release().ptr();
    PyTuple_SET_ITEM(tuple.ptr(), i, n);
  }
  return tuple.release().ptr();
}

int dim_from(PyObject* o, const TensorImpl* t, const char* who) {
  Int d;
  if (!int_from(o, &d)) {
    type_error("[", who, "] dim must be an int, got ", Py_TYPE(o)->tp_name);
  }
  int64_t n = t->ndim;
  if (d.value < -n || d.value >= n) {
    fail<IndexError>("[", who, "] dim ", d.value, " is out of range for shape ",
                     t->sizes(), n ? concat("; valid: ", -n, "..", n - 1) : "");
  }
  return static_cast<int>(d.value < 0 ? d.value + n : d.value);
}

namespace {

PyObject* to_bool(bool on) { return PyBool_FromLong(on); }

PyObject* get_shape(PyObject* self, void*) {
  return guarded([&] { return shape_tuple(impl_of(self)); });
}
PyObject* get_size(PyObject* self, void*) {
  return guarded([&] { return wrap_size(self); });
}
PyObject* get_dtype(PyObject* self, void*) {
  return wrap_dtype(impl_of(self)->dtype);
}
PyObject* get_ndim(PyObject* self, void*) {
  return PyLong_FromLong(impl_of(self)->ndim);
}
PyObject* get_device(PyObject* self, void*) {
  return guarded([&] { return wrap_device(impl_of(self)->device); });
}
PyObject* get_nbytes(PyObject* self, void*) {
  return PyLong_FromLongLong(impl_of(self)->nbytes());
}
PyObject* get_itemsize(PyObject* self, void*) {
  return PyLong_FromLongLong(itemsize(impl_of(self)->dtype));
}
PyObject* get_requires_grad(PyObject* self, void*) {
  return guarded([&] { return to_bool(requires_grad(tensor_of(self))); });
}
int set_requires_grad_property(PyObject* self, PyObject* value, void*) {
  return guarded_int([&] {
    if (!value || !PyBool_Check(value)) {
      type_error("requires_grad must be a bool");
    }
    set_requires_grad(tensor_of(self), value == Py_True);
    return 0;
  });
}
PyObject* get_grad(PyObject* self, void*) {
  return guarded([&] {
    Tensor g = grad_of(tensor_of(self));
    if (!g && impl_of(self)->history) {
      warn("reading .grad of a tensor that is no leaf, which keeps none: call "
           "retain_grad() on it before backward, or look at the leaf itself");
    }
    return wrap_or_none(std::move(g));
  });
}
int set_grad_property(PyObject* self, PyObject* value, void*) {
  return guarded_int([&] {
    if (value && value != Py_None && !is_tensor(value)) {
      type_error("grad must be a Tensor or None, got ",
                 Py_TYPE(value)->tp_name);
    }
    bool none = !value || value == Py_None;
    set_grad(tensor_of(self), none ? Tensor() : tensor_of(value));
    return 0;
  });
}
PyObject* get_is_leaf(PyObject* self, void*) {
  return guarded([&] {
    requires_grad(tensor_of(self));  // a stale view finds its history
    return to_bool(!impl_of(self)->history);
  });
}
// In-place writes that its memory has seen; of a symbolic tensor, its root.
PyObject* get_version(PyObject* self, void*) {
  const TensorImpl* t = impl_of(self);
  const Storage* s = t->storage;
  if (s) return PyLong_FromUnsignedLong(s->version.load());
  return PyLong_FromUnsignedLong((t->root ? t->root : t)->history_version);
}
PyObject* get_grad_fn(PyObject* self, void*) {
  return guarded([&] { return grad_fn_of(impl_of(self)).release().ptr(); });
}
PyObject* get_output_nr(PyObject* self, void*) {
  const TensorImpl* t = impl_of(self);
  return PyLong_FromLong(t->history ? t->history_nr : 0);
}
PyObject* get_data(PyObject* self, void*) {
  return guarded([&] { return wrap(tensor_of(self).detach()); });
}
int set_data(PyObject* self, PyObject* value, void*) {
  return guarded_int([&] {
    Tensor t = tensor_of(self);
    if (!value || !is_tensor(value)) type_error("data must be a Tensor");
    Tensor v = tensor_of(value);
    if (v.dtype() != t.dtype() || Dims(v.shape()) != Dims(t.shape())) {
      fail<ValueError>("data of ", v.dtype(), " ", v.shape(),
                       " does not fit a tensor of ", t.dtype(), " ", t.shape());
    }
    NoGrad no_grad;
    op::copy_(t.detach(), v);
    return 0;
  });
}

PyObject* transposed(PyObject* self, const char* what) {
  Tensor t = tensor_of(self);
  if (t.ndim() < 2 && what[0] == 'm') {
    fail<ShapeError>("[mT] needs at least 2 dimensions, got shape ", t.shape());
  }
  if (t.ndim() < 2) return Py_NewRef(self);
  if (t.ndim() > 2 && what[0] == 'T') {
    fail<ShapeError>("[T] is for at most 2 dimensions, got shape ", t.shape(),
                     "; use mT for matrices, or permute");
  }
  return wrap(op::transpose(t, -2, -1));
}
PyObject* get_t(PyObject* self, void*) {
  return guarded([&] { return transposed(self, "T"); });
}
PyObject* get_mt(PyObject* self, void*) {
  return guarded([&] { return transposed(self, "mT"); });
}

// The conjugate as well.
PyObject* adjoint(PyObject* self, const char* what) {
  Tensor t = tensor_of(self);
  if (what[0] == 'H' ? t.ndim() != 2 && t.ndim() != 0 : t.ndim() < 2) {
    fail<ShapeError>("[", what, "] is for ",
                     what[0] == 'H' ? "matrices" : "at least 2 dimensions",
                     ", got shape ", t.shape());
  }
  if (t.ndim() == 2 || what[0] == 'm') t = op::transpose(t, -2, -1);
  return wrap(is_complex(t.dtype()) ? op::conj(t) : t);
}
PyObject* get_h(PyObject* self, void*) {
  return guarded([&] { return adjoint(self, "H"); });
}
PyObject* get_mh(PyObject* self, void*) {
  return guarded([&] { return adjoint(self, "mH"); });
}

PyObject* get_real(PyObject* self, void*) {
  return guarded([&] { return wrap(op::real(impl_of(self))); });
}
PyObject* get_imag(PyObject* self, void*) {
  return guarded([&] { return wrap(op::imag(impl_of(self))); });
}
// z.real = value
int set_part(const OpDef& part, PyObject* self, PyObject* value) {
  return guarded_int([&] {
    if (!value) type_error("[", part.name, "] cannot be deleted");
    nb::object view = own(wrap(part(impl_of(self))));
    nb::object all = nb::steal(Py_NewRef(Py_Ellipsis));
    return set_item(view.ptr(), all.ptr(), value);
  });
}
int set_real(PyObject* self, PyObject* value, void*) {
  return set_part(op::real, self, value);
}
int set_imag(PyObject* self, PyObject* value, void*) {
  return set_part(op::imag, self, value);
}

// --- methods

PyObject* stride(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"dim", nullptr};
  PyObject* dim = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:stride",
                                   const_cast<char**>(names), &dim)) {
    return nullptr;
  }
  return guarded([&] {
    Tensor t = tensor_of(self);
    if (dim != Py_None) {
      return PyLong_FromLongLong(
          t.strides()[dim_from(dim, t.impl(), "stride")]);
    }
    nb::object tuple = own(PyTuple_New(t.ndim()));
    for (int i = 0; i < t.ndim(); ++i) {
      PyTuple_SET_ITEM(tuple.ptr(), i, PyLong_FromLongLong(t.strides()[i]));
    }
    return tuple.release().ptr();
  });
}

PyObject* dim(PyObject* self, PyObject*) { return get_ndim(self, nullptr); }
PyObject* numel(PyObject* self, PyObject*) {
  return guarded([&] { return wrap_int(numel_of(impl_of(self))); });
}
PyObject* element_size(PyObject* self, PyObject*) {
  return get_itemsize(self, nullptr);
}
PyObject* storage_offset(PyObject* self, PyObject*) {
  return PyLong_FromLongLong(impl_of(self)->offset);
}
PyObject* data_ptr(PyObject* self, PyObject*) {
  const TensorImpl* t = impl_of(self);
  return PyLong_FromVoidPtr(t->storage ? t->bytes() : nullptr);
}
PyObject* is_floating_point(PyObject* self, PyObject*) {
  return to_bool(is_float(impl_of(self)->dtype));
}

PyObject* is_complex_method(PyObject* self, PyObject*) {
  return to_bool(is_complex(impl_of(self)->dtype));
}

PyObject* complex_method(PyObject* self, PyObject*) {
  return guarded([&] {
    nb::object value = own(item(tensor_of(self)));
    if (PyComplex_Check(value.ptr())) return value.release().ptr();
    double real = PyFloat_AsDouble(value.ptr());
    if (real == -1 && PyErr_Occurred()) nb::raise_python_error();
    return PyComplex_FromDoubles(real, 0);
  });
}

PyObject* item_method(PyObject* self, PyObject*) {
  return guarded([&] { return item(tensor_of(self)); });
}

PyObject* to_complex_number(PyObject* self, PyObject*) {
  return guarded([&] {
    nb::object value = own(item(tensor_of(self)));
    return PyObject_CallOneArg(reinterpret_cast<PyObject*>(&PyComplex_Type),
                               value.ptr());
  });
}

PyObject* nested_list(const Tensor& t, int dim, const char* p) {
  if (dim == t.ndim()) return own(element(p, t.dtype())).release().ptr();
  int64_t n = t.size(dim);
  int64_t step = t.strides()[dim] * itemsize(t.dtype());
  nb::object list = own(PyList_New(n));
  for (int64_t i = 0; i < n; ++i) {
    PyList_SET_ITEM(list.ptr(), i, nested_list(t, dim + 1, p + i * step));
  }
  return list.release().ptr();
}

PyObject* tolist(PyObject* self, PyObject*) {
  return guarded([&] {
    Tensor host = on_host(tensor_of(self), "tolist");
    return nested_list(host, 0, host->bytes());
  });
}

// f"{loss:.4f}" formats the number of a 0-d tensor; larger ones have one form.
PyObject* format(PyObject* self, PyObject* spec) {
  return guarded([&] {
    const TensorImpl* t = impl_of(self);
    if (t->ndim > 0 || t->device.is_graph()) {
      if (PyUnicode_GetLength(spec) == 0) return PyObject_Str(self);
      type_error("a tensor of shape ", t->sizes(),
                 " takes no format; only the number of a 0-d tensor does, as "
                 "in f\"{x.mean():.3f}\"");
    }
    nb::object value = own(item(tensor_of(self)));
    return PyObject_Format(value.ptr(), spec);
  });
}

PyObject* replace_method(PyObject* self, PyObject* other) {
  return guarded([&] {
    if (!is_tensor(other)) {
      type_error("_replace() takes a Tensor, got ", Py_TYPE(other)->tp_name);
    }
    replace(self, tensor_of(other));
    return Py_NewRef(self);
  });
}

}  // namespace

PyGetSetDef kTensorProperties[] = {
    {"size", get_size, nullptr,
     "The number of elements, as in NumPy and the Array API; called, as in "
     "PyTorch,\nsize() is the shape and size(dim) the size of one dimension.",
     nullptr},
    {"shape", get_shape, nullptr, "Sizes of the dimensions, a tuple.", nullptr},
    {"dtype", get_dtype, nullptr, "Type of the elements.", nullptr},
    {"ndim", get_ndim, nullptr, "Number of dimensions.", nullptr},
    {"device", get_device, nullptr, "Where the elements are.", nullptr},
    {"nbytes", get_nbytes, nullptr, "Bytes of all elements.", nullptr},
    {"itemsize", get_itemsize, nullptr, "Bytes of one element.", nullptr},
    {"requires_grad", get_requires_grad, set_requires_grad_property,
     "Whether gradients reach this tensor; settable for leaves.", nullptr},
    {"grad", get_grad, set_grad_property, "The accumulated gradient, or None.",
     nullptr},
    {"is_leaf", get_is_leaf, nullptr,
     "True unless the tensor is the recorded result of an op.", nullptr},
    {"grad_fn", get_grad_fn, nullptr,
     "The recorded operation that made the tensor, a Node; None for a leaf.",
     nullptr},
    {"output_nr", get_output_nr, nullptr, "Which result of `grad_fn` this is.",
     nullptr},
    {"_version", get_version, nullptr,
     "In-place writes that its memory has seen.", nullptr},
    {"data", get_data, set_data,
     "The same memory without history; setting it copies the values.", nullptr},
    {"real", get_real, set_real,
     "The real parts, as a view; a tensor that is not complex is its own.",
     nullptr},
    {"imag", get_imag, set_imag, "The imaginary parts, as a view.", nullptr},
    {"real", get_real, set_real,
     "The real parts, as a view; a tensor that is not complex is its own.",
     nullptr},
    {"imag", get_imag, set_imag, "The imaginary parts, as a view.", nullptr},
    {"T", get_t, nullptr, "The matrix transposed; a vector is itself.",
     nullptr},
    {"mT", get_mt, nullptr, "The last two dimensions swapped.", nullptr},
    {"H", get_h, nullptr, "The matrix transposed and conjugated.", nullptr},
    {"mH", get_mh, nullptr,
     "The last two dimensions swapped, and the elements conjugated.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMethodDef kTensorMethods[] = {
    {"stride", as_function(stride), METH_VARARGS | METH_KEYWORDS,
     "stride($self, dim=None)\n--\n\n"
     "Distance of neighbours along every dimension, or one, in elements."},
    {"dim", dim, METH_NOARGS, "dim($self)\n--\n\nNumber of dimensions."},
    {"numel", numel, METH_NOARGS, "numel($self)\n--\n\nNumber of elements."},
    {"nelement", numel, METH_NOARGS,
     "nelement($self)\n--\n\nNumber of elements."},
    {"element_size", element_size, METH_NOARGS,
     "element_size($self)\n--\n\nBytes of one element."},
    {"storage_offset", storage_offset, METH_NOARGS,
     "storage_offset($self)\n--\n\n"
     "Place of the first element in the memory, in elements."},
    {"data_ptr", data_ptr, METH_NOARGS,
     "data_ptr($self)\n--\n\nAddress of the first element."},
    {"is_floating_point", is_floating_point, METH_NOARGS,
     "is_floating_point($self)\n--\n\nWhether the dtype is floating."},
    {"is_complex", is_complex_method, METH_NOARGS,
     "is_complex($self)\n--\n\nWhether the dtype is complex."},
    {"item", item_method, METH_NOARGS,
     "item($self)\n--\n\n"
     "The only element as a Python number.\n\n"
     "Raises:\n"
     "    ValueError: there is not exactly one element.\n"},
    {"tolist", tolist, METH_NOARGS,
     "tolist($self)\n--\n\nThe elements in nested lists."},
    {"__complex__", to_complex_number, METH_NOARGS, nullptr},
    {"__format__", format, METH_O, nullptr},
    {"__complex__", complex_method, METH_NOARGS, nullptr},
    {"_replace", replace_method, METH_O,
     "_replace($self, other)\n--\n\n"
     "This object takes over what `other` is: values, dtype, history."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace ferrule::python
