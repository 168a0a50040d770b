// Operators of Tensor, and what counts as a number beside one.
#include "binding.h"
#include "ferrule/ops.h"

namespace ferrule::python {

// --- numbers

namespace {

// numpy.NAME, or null while nobody has imported NumPy.
PyObject* numpy_class(const char* name, PyObject*& cache) {
  if (cache) return cache;
  nb::object key = own(PyUnicode_FromString("numpy"));
  nb::object numpy = nb::steal(PyImport_GetModule(key.ptr()));
  if (!numpy.is_valid()) {
    PyErr_Clear();
    return nullptr;
  }
  cache = PyObject_GetAttrString(numpy.ptr(), name);
  if (!cache) PyErr_Clear();
  return cache;
}

bool is_instance(PyObject* o, PyObject* cls) {
  return cls &&
         PyType_IsSubtype(Py_TYPE(o), reinterpret_cast<PyTypeObject*>(cls));
}

}  // namespace

bool is_numpy_scalar(PyObject* o) {
  static PyObject* cls = nullptr;
  return is_instance(o, numpy_class("generic", cls));
}

bool is_numpy_array(PyObject* o) {
  static PyObject* cls = nullptr;
  return is_instance(o, numpy_class("ndarray", cls));
}

bool int_from(PyObject* o, Int* out) {
  if (PyBool_Check(o)) return false;
  nb::object held;
  int32_t expr = -1;
  if (PyLong_Check(o)) {
    if (!PyLong_CheckExact(o)) expr = expression_of(o);
  } else {
    if (!PyIndex_Check(o)) return false;
    held = nb::steal(PyNumber_Index(o));
    if (!held.is_valid()) {
      if (!PyErr_ExceptionMatches(PyExc_TypeError)) nb::raise_python_error();
      PyErr_Clear();  // an array with __index__ that is no 0-d integer
      return false;
    }
    o = held.ptr();
  }
  int overflow;
  int64_t v = PyLong_AsLongLongAndOverflow(o, &overflow);
  if (overflow) {
    PyErr_SetString(PyExc_OverflowError, "an int does not fit into 64 bits");
    nb::raise_python_error();
  }
  *out = Int(v, expr);
  return true;
}

bool number_from(PyObject* o, Arg* out) {
  if (PyFloat_CheckExact(o)) {
    *out = Arg(PyFloat_AS_DOUBLE(o));
    return true;
  }
  if (is_run_number(o)) [[unlikely]] {
    nb::object read = own(PyNumber_Float(o));
    *out = Arg(PyFloat_AS_DOUBLE(read.ptr()));
    return true;
  }
  if (PyBool_Check(o)) {
    *out = Arg(o == Py_True);
    return true;
  }
  if (PyLong_Check(o)) {
    Int v;
    int_from(o, &v);
    *out = Arg(v);
    return true;
  }
  if (PyFloat_Check(o)) {  // numpy.float64 among others
    *out = Arg(PyFloat_AsDouble(o));
    return true;
  }
  bool numpy = is_numpy_scalar(o);
  if (!numpy && is_numpy_array(o)) {
    nb::object ndim = own(PyObject_GetAttrString(o, "ndim"));
    numpy = PyLong_AsLong(ndim.ptr()) == 0;
  }
  if (numpy) {
    nb::object plain = own(PyObject_CallMethod(o, "item", nullptr));
    if (PyLong_Check(plain.ptr()) || PyFloat_Check(plain.ptr())) {
      return number_from(plain.ptr(), out);
    }
    // numpy.longdouble: no number of Python's is as precise.
    if (std::string_view(Py_TYPE(plain.ptr())->tp_name) == "numpy.longdouble") {
      *out = Arg(PyFloat_AsDouble(plain.ptr()));
      return true;
    }
  }
  return false;
}

bool complex_from(PyObject* o, DType beside, Tensor* out) {
  nb::object plain = nb::borrow(o);
  if (!PyComplex_Check(o)) {
    if (!is_numpy_scalar(o)) return false;
    plain = own(PyObject_CallMethod(o, "item", nullptr));
    if (!PyComplex_Check(plain.ptr())) return false;
  }
  const Py_complex z = PyComplex_AsCComplex(plain.ptr());
  *out = Tensor::empty({}, to_complex(beside));
  if (out->dtype() == DType::c128) {
    out->data<double>()[0] = z.real;
    out->data<double>()[1] = z.imag;
  } else {
    out->data<float>()[0] = static_cast<float>(z.real);
    out->data<float>()[1] = static_cast<float>(z.imag);
  }
  return true;
}

// --- binary operators

namespace {

// NotImplemented gives the other operand's class its turn.
bool operand_from(PyObject* o, PyObject* other, Arg* out, Tensor* made) {
  if (is_tensor(o)) {
    *out = Arg(impl_of(o));
    return true;
  }
  if (number_from(o, out)) return true;
  if (complex_from(o, impl_of(other)->dtype, made)) {
    const Device device = impl_of(other)->device;
    if (!device.is_graph()) *made = to_device(*made, device);
    *out = Arg(*made);
    return true;
  }
  if (!is_numpy_array(o)) return false;
  *made = copy_of_array(o);
  DType t = impl_of(other)->dtype;
  if (made->dtype() != t) {
    fail<DTypeError>("a tensor of ", t, " meets a NumPy array of ",
                     made->dtype(),
                     "; convert it with ferrule.tensor(array), "
                     "and to the dtype you mean with dtype=...");
  }
  *out = Arg(*made);
  return true;
}

PyObject* binary(const OpDef& op, PyObject* a, PyObject* b) {
  return guarded([&]() -> PyObject* {
    Arg args[2];
    Tensor made;
    if (!operand_from(a, b, &args[0], &made) ||
        !operand_from(b, a, &args[1], &made)) {
      Py_RETURN_NOTIMPLEMENTED;
    }
    bool large = false;
    for (const Arg& x : args) {
      large |= x.is_tensor() && x.tensor->numel > 32768;
    }
    for (const Arg& x : args) {
      large &= !x.is_tensor() || !x.tensor->device.is_graph();
    }
    if (!large) [[likely]]
      return wrap(std::move(op.call(args, 2)[0]));
    Tensor held[] = {
        Tensor::share(args[0].is_tensor() ? args[0].tensor : nullptr),
        Tensor::share(args[1].is_tensor() ? args[1].tensor : nullptr)};
    Results r;
    {
      GilRelease released(true);
      r = op.call(args, 2);
    }
    return wrap(std::move(r[0]));
  });
}

PyObject* binary_in_place(const OpDef& op, PyObject* self, PyObject* other) {
  return guarded([&]() -> PyObject* {
    Arg args[2] = {Arg(impl_of(self)), Arg()};
    Tensor made;
    if (!operand_from(other, self, &args[1], &made)) Py_RETURN_NOTIMPLEMENTED;
    Tensor held = tensor_of(self);
    op.call(args, 2, true);
    return Py_NewRef(self);
  });
}

template <const OpDef& kOp>
PyObject* binary_slot(PyObject* a, PyObject* b) {
  return binary(kOp, a, b);
}
template <const OpDef& kOp>
PyObject* in_place_slot(PyObject* self, PyObject* other) {
  return binary_in_place(kOp, self, other);
}

PyObject* power(PyObject* a, PyObject* b, PyObject* modulo) {
  if (modulo != Py_None) Py_RETURN_NOTIMPLEMENTED;
  return binary(op::pow, a, b);
}
PyObject* power_in_place(PyObject* a, PyObject* b, PyObject*) {
  return binary_in_place(op::pow, a, b);
}

PyObject* matrix_multiply(PyObject* a, PyObject* b) {
  for (PyObject* o : {a, b}) {
    if (!is_tensor(o) && !is_numpy_array(o)) Py_RETURN_NOTIMPLEMENTED;
  }
  return binary(op::matmul, a, b);
}

PyObject* divide_with_rest(PyObject* a, PyObject* b) {
  nb::object quotient = nb::steal(binary(op::floor_divide, a, b));
  if (!quotient.is_valid()) return nullptr;
  if (quotient.ptr() == Py_NotImplemented) return quotient.release().ptr();
  nb::object rest = nb::steal(binary(op::remainder, a, b));
  if (!rest.is_valid()) return nullptr;
  return PyTuple_Pack(2, quotient.ptr(), rest.ptr());
}

PyObject* invert(PyObject* self) {
  return guarded([&] { return wrap(op::bitwise_not(impl_of(self))); });
}

PyObject* negative(PyObject* self) {
  return guarded([&] { return wrap(op::neg(impl_of(self))); });
}
// +x is x, as in PyTorch.
PyObject* positive(PyObject* self) {
  return guarded([&] {
    op::positive(impl_of(self));  // which refuses bools
    return Py_NewRef(self);
  });
}
PyObject* absolute(PyObject* self) {
  return guarded([&] { return wrap(op::abs(impl_of(self))); });
}

PyObject* compare(PyObject* a, PyObject* b, int how) {
  static const OpDef* const ops[] = {&op::lt, &op::le, &op::eq,
                                     &op::ne, &op::gt, &op::ge};
  return binary(*ops[how], a, b);
}

// --- conversions to Python's numbers

int truth(PyObject* self) {
  return guarded_int([&] {
    const TensorImpl* t = impl_of(self);
    if (t->numel != 1) {
      fail<ValueError>("the truth value of a tensor of shape ", t->sizes(),
                       " is ambiguous; reduce it first, as in "
                       "(x > 0).sum() > 0");
    }
    nb::object value = own(item(tensor_of(self)));
    return PyObject_IsTrue(value.ptr());
  });
}

PyObject* to_int(PyObject* self) {
  return guarded([&] {
    nb::object value = own(item(tensor_of(self)));
    return PyNumber_Long(value.ptr());
  });
}
PyObject* to_float(PyObject* self) {
  return guarded([&] {
    nb::object value = own(item(tensor_of(self)));
    return PyNumber_Float(value.ptr());
  });
}
PyObject* to_index(PyObject* self) {
  return guarded([&]() -> PyObject* {
    const TensorImpl* t = impl_of(self);
    if (t->numel != 1 || !(is_integer(t->dtype) || t->dtype == DType::bool_)) {
      type_error("only an integer tensor of one element can be an index, got ",
                 t->dtype, " of shape ", t->sizes());
    }
    nb::object value = own(item(tensor_of(self)));
    return PyNumber_Long(value.ptr());
  });
}

// round(x), round(x, 2): tensors. math.floor and its like: an int.
PyObject* round(PyObject* self, PyObject* args) {
  return guarded([&] {
    PyObject* digits = Py_None;
    if (!PyArg_ParseTuple(args, "|O:__round__", &digits)) {
      nb::raise_python_error();
    }
    Int decimals = 0;
    if (digits != Py_None && !int_from(digits, &decimals)) {
      type_error("[round] ndigits must be an int, got ",
                 Py_TYPE(digits)->tp_name);
    }
    return wrap(op::round(impl_of(self), decimals));
  });
}

template <const OpDef& kOp>
PyObject* rounded_int(PyObject* self, PyObject*) {
  return guarded([&] {
    nb::object value = own(item(kOp(impl_of(self))));
    return PyNumber_Long(value.ptr());
  });
}

}  // namespace

PyMethodDef kNumberMethods[] = {
    {"__round__", round, METH_VARARGS,
     "__round__($self, ndigits=None)\n--\n\nround(decimals=ndigits)."},
    {"__floor__", rounded_int<floor_op>, METH_NOARGS,
     "__floor__($self)\n--\n\nThe only element, rounded down, as an int."},
    {"__ceil__", rounded_int<ceil_op>, METH_NOARGS,
     "__ceil__($self)\n--\n\nThe only element, rounded up, as an int."},
    {"__trunc__", rounded_int<trunc_op>, METH_NOARGS,
     "__trunc__($self)\n--\n\nThe only element, without fraction, as an int."},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot kNumberSlots[] = {
    {Py_nb_add, slot(binary_slot<add_op>)},
    {Py_nb_subtract, slot(binary_slot<sub_op>)},
    {Py_nb_multiply, slot(binary_slot<mul_op>)},
    {Py_nb_true_divide, slot(binary_slot<div_op>)},
    {Py_nb_inplace_add, slot(in_place_slot<add_op>)},
    {Py_nb_inplace_subtract, slot(in_place_slot<sub_op>)},
    {Py_nb_inplace_multiply, slot(in_place_slot<mul_op>)},
    {Py_nb_inplace_true_divide, slot(in_place_slot<div_op>)},
    {Py_nb_power, slot(power)},
    {Py_nb_inplace_power, slot(power_in_place)},
    {Py_nb_matrix_multiply, slot(matrix_multiply)},
    {Py_nb_floor_divide, slot(binary_slot<floor_divide_op>)},
    {Py_nb_inplace_floor_divide, slot(in_place_slot<floor_divide_op>)},
    {Py_nb_remainder, slot(binary_slot<remainder_op>)},
    {Py_nb_inplace_remainder, slot(in_place_slot<remainder_op>)},
    {Py_nb_divmod, slot(divide_with_rest)},
    {Py_nb_and, slot(binary_slot<bitwise_and_op>)},
    {Py_nb_inplace_and, slot(in_place_slot<bitwise_and_op>)},
    {Py_nb_or, slot(binary_slot<bitwise_or_op>)},
    {Py_nb_inplace_or, slot(in_place_slot<bitwise_or_op>)},
    {Py_nb_xor, slot(binary_slot<bitwise_xor_op>)},
    {Py_nb_inplace_xor, slot(in_place_slot<bitwise_xor_op>)},
    {Py_nb_lshift, slot(binary_slot<bitwise_left_shift_op>)},
    {Py_nb_inplace_lshift, slot(in_place_slot<bitwise_left_shift_op>)},
    {Py_nb_rshift, slot(binary_slot<bitwise_right_shift_op>)},
    {Py_nb_inplace_rshift, slot(in_place_slot<bitwise_right_shift_op>)},
    {Py_nb_invert, slot(invert)},
    {Py_nb_negative, slot(negative)},
    {Py_nb_positive, slot(positive)},
    {Py_nb_absolute, slot(absolute)},
    {Py_nb_bool, slot(truth)},
    {Py_nb_int, slot(to_int)},
    {Py_nb_float, slot(to_float)},
    {Py_nb_index, slot(to_index)},
    {Py_tp_richcompare, slot(compare)},
    {0, nullptr},
};

}  // namespace ferrule::python
