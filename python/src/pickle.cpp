// Pickling and copying of tensors: data, no code.
#include <cstring>

#include "binding.h"
#include "ferrule/autograd.h"
#include "ferrule/ops.h"

namespace ferrule::python {
namespace {

PyObject* rebuild_function;

void check_leaf(const Tensor& t, const char* who) {
  if (!t->history) return;
  fail<AutogradError>("[", who,
                      "] only leaf tensors can be pickled or deep copied, "
                      "this one is the result of '",
                      history_name(t), "'; use detach()");
}

// A new object of the class of `like`, which takes over the handle.
nb::object wrap_as(PyTypeObject* type, Tensor t) {
  nb::object o = own(type->tp_alloc(type, 0));
  reinterpret_cast<PyTensor*>(o.ptr())->impl = t.leave();
  return o;
}

// The attributes of an instance of a subclass; not valid if there are none.
nb::object attributes_of(PyObject* self) {
  if (is_exact_tensor(self)) return {};
  nb::object dict = nb::steal(PyObject_GetAttrString(self, "__dict__"));
  if (!dict.is_valid()) PyErr_Clear();
  return dict;
}

void set_attributes(PyObject* self, nb::handle attributes) {
  nb::object dict = own(PyObject_GetAttrString(self, "__dict__"));
  check(PyDict_Update(dict.ptr(), attributes.ptr()));
}

// The elements as a flat tensor of bytes, which every dtype has a buffer for.
Tensor as_bytes(Tensor t) {
  const int64_t n = t->nbytes(), step = 1;
  char* data = t->bytes();
  return Tensor::wrap(
      data, {&n, 1}, {&step, 1}, DType::u8, {},
      [](void* owner) { release(static_cast<TensorImpl*>(owner)); }, t.leave());
}

// (_rebuild_tensor, (bytes, dtype, shape, requires_grad, class), attributes).
// A view takes only what it sees along. From protocol 5 on the bytes are a
// PickleBuffer, which pickle can pass on without copying.
PyObject* reduce_ex(PyObject* self, PyObject* protocol) {
  return guarded([&] {
    Int version;
    if (!int_from(protocol, &version)) type_error("protocol must be an int");
    Tensor t = tensor_of(self);
    check_leaf(t, "pickle");
    NoGrad no_grad;
    Tensor host = on_host(t.detach(), "pickle");
    if (!host.is_contiguous()) host = op::clone(host);
    nb::object bytes;
    if (version.value >= 5 && host.numel() > 0) {
      nb::object flat = nb::steal(wrap(as_bytes(host)));
      bytes = own(PyPickleBuffer_FromObject(flat.ptr()));
    } else {
      bytes = own(PyBytes_FromStringAndSize(host.numel() ? host->bytes() : "",
                                            host->nbytes()));
    }
    nb::object shape = own(shape_tuple(t.impl()));
    std::string dtype(name(t.dtype()));
    nb::object attributes = attributes_of(self);
    return Py_BuildValue("O(OsOOO)O", rebuild_function, bytes.ptr(),
                         dtype.c_str(), shape.ptr(),
                         t->requires_grad ? Py_True : Py_False,
                         reinterpret_cast<PyObject*>(Py_TYPE(self)),
                         attributes.is_valid() ? attributes.ptr() : Py_None);
  });
}

struct BufferGuard {
  Py_buffer view{};
  ~BufferGuard() {
    if (view.obj) PyBuffer_Release(&view);
  }
};

PyObject* rebuild(PyObject*, PyObject* args) {
  PyObject *shape, *cls;
  const char* dtype_name;
  int requires_grad;
  BufferGuard bytes;
  if (!PyArg_ParseTuple(args, "y*sO!pO!:_rebuild_tensor", &bytes.view,
                        &dtype_name, &PyTuple_Type, &shape, &requires_grad,
                        &PyType_Type, &cls)) {
    return nullptr;
  }
  return guarded([&] {
    auto* type = reinterpret_cast<PyTypeObject*>(cls);
    if (!PyType_IsSubtype(type, tensor_type)) {
      fail<FormatError>("[pickle] damaged tensor: ", type->tp_name,
                        " is no class of tensors");
    }
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
    int64_t given = bytes.view.len;
    if (!ok || checked_numel(dims) * itemsize(dtype) != given) {
      fail<FormatError>("[pickle] damaged tensor: dtype '", dtype_name,
                        "' and its shape do not match ", given, " bytes");
    }
    Tensor x = Tensor::empty(dims, dtype);
    if (given) std::memcpy(x->bytes(), bytes.view.buf, given);
    if (requires_grad) set_requires_grad(x, true);
    return wrap_as(type, std::move(x)).release().ptr();
  });
}

// As PyTorch's: of leaves only, gradient and attributes included.
PyObject* deep_copy(PyObject* self, PyObject* memo) {
  return guarded([&] {
    Tensor t = tensor_of(self);
    check_leaf(t, "deepcopy");
    NoGrad no_grad;
    Tensor copy = op::clone(t.detach());
    if (t->requires_grad) set_requires_grad(copy, true);
    if (Tensor grad = grad_of(t)) set_grad(copy, op::clone(grad.detach()));
    nb::object result = wrap_as(Py_TYPE(self), std::move(copy));
    if (PyDict_Check(memo)) {
      nb::object key = own(PyLong_FromVoidPtr(self));
      check(PyDict_SetItem(memo, key.ptr(), result.ptr()));
    }
    if (nb::object attributes = attributes_of(self); attributes.is_valid()) {
      nb::object deepcopy = nb::module_::import_("copy").attr("deepcopy");
      set_attributes(result.ptr(), deepcopy(attributes, nb::handle(memo)));
    }
    return result.release().ptr();
  });
}

// Another object for the same tensor: memory, history and gradient are one.
PyObject* shallow_copy(PyObject* self, PyObject*) {
  return guarded([&] {
    nb::object result = wrap_as(Py_TYPE(self), tensor_of(self));
    if (nb::object attributes = attributes_of(self); attributes.is_valid()) {
      set_attributes(result.ptr(), attributes);
    }
    return result.release().ptr();
  });
}

PyMethodDef kFunctions[] = {
    {"_rebuild_tensor", rebuild, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

PyMethodDef kPickleMethods[] = {
    {"__reduce_ex__", reduce_ex, METH_O, nullptr},
    {"__deepcopy__", deep_copy, METH_O, nullptr},
    {"__copy__", shallow_copy, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

void bind_pickle(nb::module_& m) {
  check(PyModule_AddFunctions(m.ptr(), kFunctions));
  rebuild_function = nb::object(m.attr("_rebuild_tensor")).release().ptr();
}

}  // namespace ferrule::python
