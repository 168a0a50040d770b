// result_type, promote_types, can_cast: promotion as functions of its own.
#include "binding.h"

namespace ferrule::python {
namespace {

[[noreturn]] void not_a_dtype(const char* who, PyObject* o) {
  type_error("[", who, "] expected a dtype such as ferrule.float32, got ",
             Py_TYPE(o)->tp_name);
}

DType dtype_argument(const char* who, PyObject* o) {
  DType t;
  if (!dtype_from(o, &t)) not_a_dtype(who, o);
  return t;
}

// A tensor, an array or a dtype.
bool strong_dtype(PyObject* o, DType* out) {
  if (is_tensor(o)) {
    *out = impl_of(o)->dtype;
    return true;
  }
  if (dtype_from(o, out)) return true;
  if (!is_numpy_array(o)) return false;
  nb::object dtype = own(PyObject_GetAttrString(o, "dtype"));
  return dtype_from(dtype.ptr(), out);
}

bool weak_kind(PyObject* o, ScalarKind* out) {
  if (PyBool_Check(o)) {
    *out = ScalarKind::bool_;
  } else if (PyLong_Check(o)) {
    *out = ScalarKind::int_;
  } else if (PyFloat_Check(o)) {
    *out = ScalarKind::float_;
  } else if (PyComplex_Check(o)) {
    *out = ScalarKind::complex_;
  } else if (is_numpy_scalar(o)) {
    nb::object plain = own(PyObject_CallMethod(o, "item", nullptr));
    return !is_numpy_scalar(plain.ptr()) && weak_kind(plain.ptr(), out);
  } else {
    return false;
  }
  return true;
}

PyObject* result_type(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&] {
    if (n == 0) type_error("[result_type] takes one argument or more");
    bool any = false;
    DType t = DType::bool_;
    ScalarKind weak = ScalarKind::bool_;
    for (Py_ssize_t i = 0; i < n; ++i) {
      DType strong;
      ScalarKind kind;
      if (weak_kind(args[i], &kind)) {
        weak = std::max(weak, kind);
      } else if (strong_dtype(args[i], &strong)) {
        t = any ? promote(t, strong) : strong;
        any = true;
      } else {
        type_error("[result_type] expected tensors, dtypes and numbers, got ",
                   Py_TYPE(args[i])->tp_name);
      }
    }
    return wrap_dtype(any ? promote(t, weak) : default_dtype(weak));
  });
}

PyObject* promote_types(PyObject*, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"type1", "type2", nullptr};
  PyObject *a, *b;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:promote_types",
                                   const_cast<char**>(names), &a, &b)) {
    return nullptr;
  }
  return guarded([&] {
    return wrap_dtype(promote(dtype_argument("promote_types", a),
                              dtype_argument("promote_types", b)));
  });
}

PyObject* can_cast_function(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&] {
    if (n != 2) type_error("[can_cast] takes 2 arguments, got ", n);
    DType from;
    if (!strong_dtype(args[0], &from)) not_a_dtype("can_cast", args[0]);
    return PyBool_FromLong(can_cast(from, dtype_argument("can_cast", args[1])));
  });
}

PyMethodDef kFunctions[] = {
    {"result_type", as_function(result_type), METH_FASTCALL,
     "result_type(*operands)\n--\n\n"
     "The dtype that arithmetic on these operands gives: tensors, dtypes and "
     "Python\nnumbers. A number is weak: it may change the kind of dtype, not "
     "its width.\n\n"
     "Example:\n"
     "    >>> import ferrule as fe\n"
     "    >>> fe.result_type(fe.zeros(2, dtype=fe.int8), 2.5)\n"
     "    ferrule.float32\n"},
    {"promote_types", as_function(promote_types), METH_VARARGS | METH_KEYWORDS,
     "promote_types(type1, type2)\n--\n\n"
     "The smallest dtype that two others convert to without loss of kind.\n\n"
     "Example:\n"
     "    >>> import ferrule as fe\n"
     "    >>> fe.promote_types(fe.uint8, fe.int8)\n"
     "    ferrule.int16\n"},
    {"can_cast", as_function(can_cast_function), METH_FASTCALL,
     "can_cast(from_, to, /)\n--\n\n"
     "Whether a conversion keeps the kind of number: neither a fraction nor "
     "an\n"
     "imaginary part is dropped, and only a bool becomes a bool. Precision is "
     "not\nlooked at, as in torch.can_cast.\n\n"
     "Example:\n"
     "    >>> import ferrule as fe\n"
     "    >>> fe.can_cast(fe.float64, fe.float32)\n"
     "    True\n"
     "    >>> fe.can_cast(fe.float32, fe.int64)\n"
     "    False\n"},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void bind_promotion(nb::module_& m) {
  check(PyModule_AddFunctions(m.ptr(), kFunctions));
}

}  // namespace ferrule::python
