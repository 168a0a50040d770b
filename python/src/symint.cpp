// SymInt: an int that remembers the expression it was computed from.
//
// While capturing, sizes of symbolic tensors are such. + - * // and % with
// other integers keep the expression; everything else sees a plain int.
//
// Tensor.size is such an int that can be called, too: NumPy and the Array API
// have x.size for the number of elements, PyTorch x.size() and x.size(dim).
#include "binding.h"

namespace ferrule::python {
namespace {

PyTypeObject* symint_type;
PyTypeObject* size_type;

nb::object make(PyTypeObject* type, Int v) {
  nb::object plain = own(PyLong_FromLongLong(v.value));
  nb::object args = own(PyTuple_Pack(1, plain.ptr()));
  nb::object o = own(PyLong_Type.tp_new(type, args.ptr(), nullptr));
  if (v.symbolic()) {
    nb::object expr = own(PyLong_FromLong(v.expr));
    check(PyObject_SetAttrString(o.ptr(), "expr", expr.ptr()));
  }
  return o;
}

PyObject* combined(IntOp op, PyObject* a, PyObject* b) {
  return guarded([&]() -> PyObject* {
    Int x, y;
    if (!int_from(a, &x) || !int_from(b, &y)) Py_RETURN_NOTIMPLEMENTED;
    if ((op == IntOp::floordiv || op == IntOp::mod) && y.value == 0) {
      PyErr_SetString(PyExc_ZeroDivisionError,
                      "integer division or modulo by zero");
      return nullptr;
    }
    return wrap_int(combine(op, x, y));
  });
}

template <IntOp kOp>
PyObject* forward(PyObject* self, PyObject* other) {
  return combined(kOp, self, other);
}
template <IntOp kOp>
PyObject* reflected(PyObject* self, PyObject* other) {
  return combined(kOp, other, self);
}

PyObject* negative(PyObject* self, PyObject*) {
  return guarded([&] {
    Int x;
    int_from(self, &x);
    return wrap_int(combine(IntOp::sub, 0, x));
  });
}

// Called for decisions that depend on a size, or null: see set_size_guard.
PyObject* size_guard = nullptr;

void note_decision(int comparison, PyObject* a, PyObject* b) {
  Int x, y;
  if (!size_guard || !PyLong_Check(b) || !int_from(a, &x) || !int_from(b, &y) ||
      (!x.symbolic() && !y.symbolic())) {
    return;
  }
  own(PyObject_CallFunction(size_guard, "iiLiL", comparison, x.expr,
                            static_cast<long long>(x.value), y.expr,
                            static_cast<long long>(y.value)));
}

template <int kComparison>
PyObject* compared(PyObject* self, PyObject* other) {
  return guarded([&] {
    note_decision(kComparison, self, other);
    return PyLong_Type.tp_richcompare(self, other, kComparison);
  });
}

PyObject* is_true(PyObject* self, PyObject*) {
  return guarded([&] {
    nb::object zero = own(PyLong_FromLong(0));
    note_decision(Py_NE, self, zero.ptr());
    return PyLong_Type.tp_richcompare(self, zero.ptr(), Py_NE);
  });
}

PyObject* set_size_guard(PyObject*, PyObject* function) {
  PyObject* before = size_guard;
  size_guard = function == Py_None ? nullptr : function;
  Py_XINCREF(size_guard);
  if (!before) Py_RETURN_NONE;
  return before;
}

// A pickled or copied size is a plain int: the capture does not travel.
PyObject* reduce(PyObject* self, PyObject*) {
  return guarded([&] {
    nb::object plain = own(PyNumber_Long(self));
    return Py_BuildValue("O(O)", &PyLong_Type, plain.ptr());
  });
}

PyMethodDef kMethods[] = {
    {"__add__", forward<IntOp::add>, METH_O, nullptr},
    {"__radd__", reflected<IntOp::add>, METH_O, nullptr},
    {"__sub__", forward<IntOp::sub>, METH_O, nullptr},
    {"__rsub__", reflected<IntOp::sub>, METH_O, nullptr},
    {"__mul__", forward<IntOp::mul>, METH_O, nullptr},
    {"__rmul__", reflected<IntOp::mul>, METH_O, nullptr},
    {"__floordiv__", forward<IntOp::floordiv>, METH_O, nullptr},
    {"__rfloordiv__", reflected<IntOp::floordiv>, METH_O, nullptr},
    {"__mod__", forward<IntOp::mod>, METH_O, nullptr},
    {"__rmod__", reflected<IntOp::mod>, METH_O, nullptr},
    {"__neg__", negative, METH_NOARGS, nullptr},
    {"__lt__", compared<Py_LT>, METH_O, nullptr},
    {"__le__", compared<Py_LE>, METH_O, nullptr},
    {"__eq__", compared<Py_EQ>, METH_O, nullptr},
    {"__ne__", compared<Py_NE>, METH_O, nullptr},
    {"__gt__", compared<Py_GT>, METH_O, nullptr},
    {"__ge__", compared<Py_GE>, METH_O, nullptr},
    {"__bool__", is_true, METH_NOARGS, nullptr},
    {"__reduce__", reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

// --- Tensor.size

PyObject* size_call(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"dim", nullptr};
  PyObject* dim = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:size",
                                   const_cast<char**>(names), &dim)) {
    return nullptr;
  }
  return guarded([&] {
    nb::object tensor = own(PyObject_GetAttrString(self, "_tensor"));
    const TensorImpl* t = impl_of(tensor.ptr());
    if (dim == Py_None) return shape_tuple(t);
    return wrap_int(size_of(t, dim_from(dim, t, "size")));
  });
}

PyMethodDef kSizeMethods[] = {
    {"__call__", as_function(size_call), METH_VARARGS | METH_KEYWORDS,
     "__call__($self, /, dim=None)\n--\n\n"
     "The shape, or the size of one dimension."},
    {nullptr, nullptr, 0, nullptr},
};

template <IntOp kOp>
PyObject* chosen(PyObject*, PyObject* const* args, Py_ssize_t n) {
  if (n != 2) {
    PyErr_SetString(PyExc_TypeError, "expected two ints");
    return nullptr;
  }
  return combined(kOp, args[0], args[1]);
}

PyMethodDef kFunctions[] = {
    {"sym_min", as_function(chosen<IntOp::min>), METH_FASTCALL,
     "sym_min(a, b)\n--\n\nThe smaller size; unlike min() it is chosen anew "
     "for the sizes of each run."},
    {"sym_max", as_function(chosen<IntOp::max>), METH_FASTCALL,
     "sym_max(a, b)\n--\n\nThe larger size; unlike max() it is chosen anew "
     "for the sizes of each run."},
    {"set_size_guard", set_size_guard, METH_O,
     "set_size_guard(function)\n--\n\nfunction(comparison, expression, value, "
     "expression, value) is called when Python compares a size that has an "
     "expression; -1 stands for none. Returns the function before; None: no "
     "function."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

PyObject* wrap_int(Int v) {
  if (!v.symbolic()) return own(PyLong_FromLongLong(v.value)).release().ptr();
  return make(symint_type, v).release().ptr();
}

PyObject* wrap_size(PyObject* tensor) {
  nb::object o = make(size_type, numel_of(impl_of(tensor)));
  check(PyObject_SetAttrString(o.ptr(), "_tensor", tensor));
  return o.release().ptr();
}

int32_t expression_of(PyObject* o) {
  if (!PyType_IsSubtype(Py_TYPE(o), symint_type)) return -1;
  nb::object expr = own(PyObject_GetAttrString(o, "expr"));
  long e = PyLong_AsLong(expr.ptr());
  if (e == -1 && PyErr_Occurred()) nb::raise_python_error();
  return static_cast<int32_t>(e);
}

namespace {

// class NAME(BASE): expr = -1
PyTypeObject* make_class(nb::module_& m, const char* name, PyTypeObject* base,
                         PyMethodDef* methods, const char* doc) {
  nb::object type = own(PyObject_CallFunction(
      reinterpret_cast<PyObject*>(&PyType_Type), "s(O){s:s,s:i,s:s}", name,
      base, "__module__", "ferrule", "expr", -1, "__doc__", doc));
  m.attr(name) = type;
  // Lives as long as the process.
  auto* made = reinterpret_cast<PyTypeObject*>(type.release().ptr());
  add_methods(made, methods);
  return made;
}

}  // namespace

void bind_symint(nb::module_& m) {
  symint_type = make_class(
      m, "SymInt", &PyLong_Type, kMethods,
      "A size that remembers how it follows from the sizes of the inputs.");
  size_type = make_class(m, "TensorSize", symint_type, kSizeMethods,
                         "What Tensor.size is: an int, the number of elements, "
                         "that can be called for the shape.");
  check(PyModule_AddFunctions(m.ptr(), kFunctions));
}

}  // namespace ferrule::python
