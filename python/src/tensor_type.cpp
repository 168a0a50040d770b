// The type ferrule.Tensor: creation, destruction, properties, protocols.
//
// It is a plain CPython type, not a nanobind class: an op's result costs one
// small object and nothing is looked up.
#include "binding.h"

// After Python.h:
#include <structmember.h>

#include "ferrule/autograd.h"
#include "ferrule/ops.h"

namespace ferrule::python {

PyTypeObject* tensor_type;

PyObject* wrap(Tensor t) {
  auto* o = reinterpret_cast<PyTensor*>(tensor_type->tp_alloc(tensor_type, 0));
  if (!o) nb::raise_python_error();
  o->impl = t.leave();
  return reinterpret_cast<PyObject*>(o);
}

void replace(PyObject* self, Tensor with) {
  Tensor old = Tensor::adopt(
      std::exchange(reinterpret_cast<PyTensor*>(self)->impl, with.leave()));
}

void add_methods(PyTypeObject* type, PyMethodDef* methods) {
  auto* dict = reinterpret_cast<PyObject*>(type);
  for (PyMethodDef* d = methods; d->ml_name; ++d) {
    nb::object method = own(PyDescr_NewMethod(type, d));
    check(PyObject_SetAttrString(dict, d->ml_name, method.ptr()));
  }
}

namespace {

PyObject* tensor_new(PyTypeObject* type, PyObject*, PyObject*) {
  return guarded([&] {
    Tensor t = Tensor::empty({0}, DType::f32);
    nb::object o = own(type->tp_alloc(type, 0));
    reinterpret_cast<PyTensor*>(o.ptr())->impl = t.leave();
    return o.release().ptr();
  });
}

int tensor_init(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"data", nullptr};
  PyObject* data;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:Tensor",
                                   const_cast<char**>(names), &data)) {
    return -1;
  }
  return guarded_int([&] {
    replace(self, is_tensor(data) ? tensor_of(data).detach()
                                  : tensor_from(data, nullptr, "Tensor"));
    return 0;
  });
}

void tensor_dealloc(PyObject* self) {
  auto* t = reinterpret_cast<PyTensor*>(self);
  if (t->weakrefs) PyObject_ClearWeakRefs(self);
  PyTypeObject* type = Py_TYPE(self);
  if (t->impl) release(t->impl);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* tensor_repr(PyObject* self) {
  return guarded([&] {
    Tensor t = tensor_of(self);
    std::string s = repr(t, t.requires_grad());
    return PyUnicode_FromStringAndSize(s.data(), s.size());
  });
}

// Identity of the Python object: `==` compares elements, and an object that
// takes over another implementation (_replace) stays where it is in a dict.
Py_hash_t tensor_hash(PyObject* self) {
  auto bits = reinterpret_cast<uintptr_t>(self);
  auto h = static_cast<Py_hash_t>(bits >> 4 | bits << (8 * sizeof bits - 4));
  return h == -1 ? -2 : h;
}

Py_ssize_t tensor_length(PyObject* self) {
  const TensorImpl* t = impl_of(self);
  if (t->ndim == 0) {
    PyErr_SetString(PyExc_TypeError, "len() of a 0-d tensor");
    return -1;
  }
  return t->shape[0];
}

// Yields the slices along the first dimension.
PyObject* tensor_iter(PyObject* self) {
  return guarded([&]() -> PyObject* {
    const TensorImpl* t = impl_of(self);
    if (t->ndim == 0) type_error("iteration over a 0-d tensor");
    int64_t n = t->shape[0];
    Tensor x = tensor_of(self);
    nb::object list = own(PyList_New(n));
    for (int64_t i = 0; i < n; ++i) {
      PyList_SET_ITEM(list.ptr(), i, wrap(op::select(x, 0, i)));
    }
    return PyObject_GetIter(list.ptr());
  });
}

int tensor_contains(PyObject* self, PyObject* value) {
  return guarded_int([&] {
    Arg other;
    if (is_tensor(value)) {
      other = Arg(impl_of(value));
    } else if (!number_from(value, &other)) {
      type_error("'in <Tensor>' needs a number or a tensor, got ",
                 Py_TYPE(value)->tp_name);
    }
    NoGrad no_grad;
    Tensor hits = op::eq(tensor_of(self), other);
    Tensor n = op::sum(op::cast(hits, DType::i64));
    nb::object count = own(item(n));
    return PyObject_IsTrue(count.ptr());
  });
}

PyObject* tensor_subscript(PyObject* self, PyObject* key) {
  return guarded([&] { return get_item(self, key); });
}

int tensor_ass_subscript(PyObject* self, PyObject* key, PyObject* value) {
  return guarded_int([&] {
    if (!value) type_error("elements of a tensor cannot be deleted");
    return set_item(self, key, value);
  });
}

PyMemberDef kMembers[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(PyTensor, weakrefs), READONLY,
     nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

const char kDoc[] =
    "Tensor(data)\n--\n\n"
    "An n-dimensional array on a device, that can record how it was made.\n\n"
    "Make one with `ferrule.tensor`, `ferrule.from_numpy` or an op such as\n"
    "`ferrule.zeros`. Tensor(data) shares the memory of a tensor and leaves\n"
    "its history; anything else it copies.\n\n"
    "Example:\n"
    "    >>> import ferrule as fe\n"
    "    >>> x = fe.tensor([[1.0, 2.0], [3.0, 4.0]])\n"
    "    >>> x.shape, x.dtype, x.sum().item()\n"
    "    ((2, 2), ferrule.float32, 10.0)\n";

}  // namespace

void bind_tensor_type(nb::module_& m) {
  std::vector<PyType_Slot> slots = {
      {Py_tp_new, slot(tensor_new)},
      {Py_tp_init, slot(tensor_init)},
      {Py_tp_dealloc, slot(tensor_dealloc)},
      {Py_tp_repr, slot(tensor_repr)},
      {Py_tp_hash, slot(tensor_hash)},
      {Py_tp_iter, slot(tensor_iter)},
      {Py_tp_members, kMembers},
      {Py_tp_getset, kTensorProperties},
      {Py_tp_doc, const_cast<char*>(kDoc)},
      {Py_mp_length, slot(tensor_length)},
      {Py_mp_subscript, slot(tensor_subscript)},
      {Py_mp_ass_subscript, slot(tensor_ass_subscript)},
      {Py_sq_contains, slot(tensor_contains)},
      {Py_bf_getbuffer, slot(get_buffer)},
      {Py_bf_releasebuffer, slot(release_buffer)},
  };
  for (PyType_Slot* s = kNumberSlots; s->slot; ++s) slots.push_back(*s);
  slots.push_back({0, nullptr});
  PyType_Spec spec = {"ferrule.Tensor", sizeof(PyTensor), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots.data()};
  nb::object type = own(PyType_FromSpec(&spec));
  tensor_type = reinterpret_cast<PyTypeObject*>(type.ptr());
  for (PyMethodDef* methods :
       {kTensorMethods, kNumberMethods, kConvertMethods, kInteropMethods,
        kDLPackMethods, kPickleMethods, kAutogradMethods, kPartMethods,
        kFormatMethods}) {
    add_methods(tensor_type, methods);
  }
  // NumPy's operators leave mixed operands to Tensor's.
  nb::setattr(type, "__array_priority__", nb::int_(1000));
  m.attr("Tensor") = type;
  type.release();  // lives as long as the process
}

}  // namespace ferrule::python
