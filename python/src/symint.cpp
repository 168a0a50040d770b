// SymInt: an int that remembers the expression it was computed from.
//
// While capturing, sizes of symbolic tensors are such. + - * // and % with
// other integers keep the expression; everything else sees a plain int.
#include "binding.h"

namespace ferrule::python {
namespace {

PyTypeObject* symint_type;

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
    {"__reduce__", reduce, METH_NOARGS, nullptr},
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
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

PyObject* wrap_int(Int v) {
  nb::object plain = own(PyLong_FromLongLong(v.value));
  if (!v.symbolic()) return plain.release().ptr();
  nb::object args = own(PyTuple_Pack(1, plain.ptr()));
  nb::object o = own(PyLong_Type.tp_new(symint_type, args.ptr(), nullptr));
  nb::object expr = own(PyLong_FromLong(v.expr));
  check(PyObject_SetAttrString(o.ptr(), "expr", expr.ptr()));
  return o.release().ptr();
}

int32_t expression_of(PyObject* o) {
  if (Py_TYPE(o) != symint_type) return -1;
  nb::object expr = own(PyObject_GetAttrString(o, "expr"));
  long e = PyLong_AsLong(expr.ptr());
  if (e == -1 && PyErr_Occurred()) nb::raise_python_error();
  return static_cast<int32_t>(e);
}

void bind_symint(nb::module_& m) {
  nb::object type = own(PyObject_CallFunction(
      reinterpret_cast<PyObject*>(&PyType_Type), "s(O){s:s,s:i,s:s}", "SymInt",
      &PyLong_Type, "__module__", "ferrule", "expr", -1, "__doc__",
      "A size that remembers how it follows from the sizes of the inputs."));
  symint_type = reinterpret_cast<PyTypeObject*>(type.ptr());
  add_methods(symint_type, kMethods);
  m.attr("SymInt") = type;
  type.release();  // lives as long as the process
  check(PyModule_AddFunctions(m.ptr(), kFunctions));
}

}  // namespace ferrule::python
