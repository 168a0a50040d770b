// Methods of Tensor that are short compositions of ops. An op of the same name
// in the op table takes their place.
#include <algorithm>

#include "binding.h"
#include "ferrule/autograd.h"
#include "ferrule/ops.h"
#include "runtime/autograd/compose.h"

namespace ferrule::python {
namespace {

int64_t int_arg(PyObject* o, const char* who, const char* what) {
  Int v;
  if (!int_from(o, &v)) {
    type_error("[", who, "] ", what, " must be an int, got ",
               Py_TYPE(o)->tp_name);
  }
  return v.value;
}

// Sizes given as one tuple or as several ints.
IntList sizes_from(PyObject* args, const char* who) {
  nb::object items = nb::borrow(args);
  if (PyTuple_GET_SIZE(args) == 1 &&
      (PyTuple_Check(PyTuple_GET_ITEM(args, 0)) ||
       PyList_Check(PyTuple_GET_ITEM(args, 0)))) {
    items = own(PySequence_Tuple(PyTuple_GET_ITEM(args, 0)));
  }
  IntList sizes;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(items.ptr()); ++i) {
    Int v;
    PyObject* o = PyTuple_GET_ITEM(items.ptr(), i);
    if (!int_from(o, &v)) {
      type_error("[", who, "] sizes must be ints, got ", Py_TYPE(o)->tp_name);
    }
    sizes.push(v);
  }
  return sizes;
}

// --- max and min

struct Extreme {
  const char* name;
  PyTypeObject* results;
  const OpDef& reduce;
  const OpDef& arg;
  const OpDef& elementwise;
};

PyObject* extreme(const Extreme& e, PyObject* self, PyObject* args,
                  PyObject* kwargs) {
  static const char* names[] = {"dim", "keepdim", nullptr};
  PyObject* dim = Py_None;
  int keepdim = 0;
  nb::dict renamed;  // axis and keepdims
  if (kwargs) {
    PyObject *key, *value;
    for (Py_ssize_t at = 0; PyDict_Next(kwargs, &at, &key, &value);) {
      std::string_view k = PyUnicode_AsUTF8(key);
      nb::handle v(value);
      if (k == "axis") {
        renamed["dim"] = v;
      } else if (k == "keepdims") {
        renamed["keepdim"] = v;
      } else {
        renamed[nb::handle(key)] = v;
      }
    }
  }
  std::string format = concat("|Op:", e.name);
  if (!PyArg_ParseTupleAndKeywords(args, renamed.ptr(), format.c_str(),
                                   const_cast<char**>(names), &dim, &keepdim)) {
    nb::raise_python_error();
  }
  Tensor x = tensor_of(self);
  if (dim == Py_None) return wrap(e.reduce(x));
  if (is_tensor(dim)) return wrap(e.elementwise(x, tensor_of(dim)));
  int64_t d = int_arg(dim, e.name, "dim");
  Tensor indices = e.arg(x, d, true);
  Tensor values = op::gather(x, d, indices);
  if (!keepdim) {
    values = op::squeeze(values, IntList{d});
    indices = op::squeeze(indices, IntList{d});
  }
  Results r;
  r.n = 2;
  r[0] = std::move(values);
  r[1] = std::move(indices);
  return wrap_results(std::move(r), e.results);
}

// Errors of its parts are its own.
PyObject* guarded_extreme(const Extreme& e, PyObject* self, PyObject* args,
                          PyObject* kwargs) {
  return guarded([&] {
    try {
      return extreme(e, self, args, kwargs);
    } catch (const Error& error) {
      fail_as(e.name, error);
    }
  });
}

PyObject* max(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const Extreme e{"max", return_type("max"), op::amax, op::argmax,
                         op::maximum};
  return guarded_extreme(e, self, args, kwargs);
}
PyObject* min(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const Extreme e{"min", return_type("min"), op::amin, op::argmin,
                         op::minimum};
  return guarded_extreme(e, self, args, kwargs);
}

// --- shape

Tensor view_of(const Tensor& x, const IntList& shape) {
  Tensor y = op::reshape(x, shape);
  bool shared =
      x.device().is_graph() || x.numel() == 0 || y->storage == x->storage;
  if (!shared) {
    fail<ShapeError>("[view] shape ", y.shape(),
                     " cannot look into the memory "
                     "of a tensor of shape ",
                     x.shape(), " and strides ", x.strides(),
                     "; use reshape, which copies");
  }
  return y;
}

PyObject* view(PyObject* self, PyObject* args) {
  return guarded(
      [&] { return wrap(view_of(tensor_of(self), sizes_from(args, "view"))); });
}

PyObject* like(PyObject* self, PyObject* other, const char* who,
               Tensor (*make)(const Tensor&, const IntList&)) {
  return guarded([&] {
    if (!is_tensor(other)) {
      type_error("[", who, "] expected a Tensor, got ",
                 Py_TYPE(other)->tp_name);
    }
    return wrap(make(tensor_of(self), sizes_of(impl_of(other))));
  });
}
PyObject* view_as(PyObject* self, PyObject* other) {
  return like(self, other, "view_as", view_of);
}
PyObject* reshape_as(PyObject* self, PyObject* other) {
  return like(self, other, "reshape_as", [](const Tensor& x, const IntList& s) {
    return op::reshape(x, s);
  });
}
PyObject* expand_as(PyObject* self, PyObject* other) {
  return like(self, other, "expand_as", [](const Tensor& x, const IntList& s) {
    return op::expand(x, s);
  });
}

// Another shape for the same elements in the order of memory; what they lack is
// added behind them, with arbitrary values.
PyObject* resized(PyObject* self, const IntList& sizes) {
  const Tensor x = tensor_of(self);
  if (x.device().is_graph()) {
    fail<RuntimeError>("[resize_] has no place in a graph; use reshape or pad");
  }
  if (x.requires_grad()) {
    fail<AutogradError>("[resize_] a tensor that requires grad keeps its size; "
                        "use reshape, or detach() first");
  }
  Dims shape;
  for (const Int& n : sizes) {
    if (n.value < 0) fail<ShapeError>("[resize_] negative size ", n.value);
    shape.push(n.value);
  }
  const int64_t numel = checked_numel(shape);
  const int64_t room =
      x->storage ? x->storage->nbytes / itemsize(x.dtype()) - x->offset : 0;
  if (numel <= room) {
    replace(self, x.view_as(shape, contiguous_strides(shape), x->offset));
    return Py_NewRef(self);
  }
  NoGrad no_grad;
  const Tensor larger = Tensor::empty(Dims{numel}, x.dtype(), x.device());
  if (room > 0) {
    const Tensor own = x.view_as(Dims{room}, Dims{1}, x->offset);
    op::copy_(op::slice(larger, 0, 0, room), own);
  }
  replace(self, larger.view_as(shape, contiguous_strides(shape), 0));
  return Py_NewRef(self);
}

PyObject* resize_(PyObject* self, PyObject* args) {
  return guarded([&] { return resized(self, sizes_from(args, "resize_")); });
}
PyObject* resize_as_(PyObject* self, PyObject* other) {
  return guarded([&] {
    if (!is_tensor(other)) {
      type_error("[resize_as_] expected a Tensor, got ",
                 Py_TYPE(other)->tp_name);
    }
    return resized(self, sizes_of(impl_of(other)));
  });
}

// The op's first argument is n, as in torch.polygamma.
PyObject* polygamma(PyObject* self, PyObject* n) {
  return guarded([&] {
    return wrap(op::polygamma(int_arg(n, "polygamma", "n"), tensor_of(self)));
  });
}

PyObject* t(PyObject* self, PyObject*) {
  return guarded([&] {
    Tensor x = tensor_of(self);
    if (x.ndim() > 2) {
      fail<ShapeError>("[t] is for at most 2 dimensions, got shape ", x.shape(),
                       "; use mT or transpose");
    }
    return x.ndim() < 2 ? Py_NewRef(self) : wrap(op::transpose(x, 0, 1));
  });
}

// --- indexing

// One tensor of indices a dimension, with as_tuple.
PyObject* nonzero(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"as_tuple", nullptr};
  int as_tuple = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$p:nonzero",
                                   const_cast<char**>(names), &as_tuple)) {
    return nullptr;
  }
  return guarded([&] {
    Tensor where = op::argwhere(tensor_of(self));
    if (!as_tuple) return wrap(std::move(where));
    const int64_t n = where.size(1);
    nb::object tuple = own(PyTuple_New(n));
    for (int64_t d = 0; d < n; ++d) {
      PyTuple_SET_ITEM(tuple.ptr(), d, wrap(op::select(where, 1, d)));
    }
    return tuple.release().ptr();
  });
}

// Iterating over it gives the slices from the last.
PyObject* reversed(PyObject* self, PyObject*) {
  return guarded([&] {
    if (impl_of(self)->ndim == 0) type_error("iteration over a 0-d tensor");
    nb::object step = own(PyLong_FromLong(-1));
    nb::object key = own(PySlice_New(nullptr, nullptr, step.ptr()));
    return get_item(self, key.ptr());
  });
}

PyObject* where(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"condition", "other", nullptr};
  PyObject *condition, *other;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O:where",
                                   const_cast<char**>(names), tensor_type,
                                   &condition, &other)) {
    return nullptr;
  }
  return guarded([&] {
    Arg value;
    if (is_tensor(other)) {
      value = Arg(impl_of(other));
    } else if (!number_from(other, &value)) {
      type_error("[where] other must be a Tensor or a number, got ",
                 Py_TYPE(other)->tp_name);
    }
    return wrap(op::where(tensor_of(condition), tensor_of(self), value));
  });
}

// --- comparisons of whole tensors

bool is_true_everywhere(const Tensor& mask) {
  nb::object all = own(item(op::all(mask)));
  return all.ptr() == Py_True;
}

Tensor other_tensor(PyObject* o, const char* who) {
  if (!is_tensor(o)) {
    type_error("[", who, "] other must be a Tensor, got ", Py_TYPE(o)->tp_name);
  }
  return tensor_of(o);
}

PyObject* allclose(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"other", "rtol", "atol", "equal_nan", nullptr};
  PyObject* other;
  double rtol = 1e-5, atol = 1e-8;
  int equal_nan = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|ddp:allclose",
                                   const_cast<char**>(names), &other, &rtol,
                                   &atol, &equal_nan)) {
    return nullptr;
  }
  return guarded([&] {
    const Tensor close =
        op::isclose(tensor_of(self), other_tensor(other, "allclose"), rtol,
                    atol, equal_nan != 0);
    return PyBool_FromLong(is_true_everywhere(close));
  });
}

PyObject* equal(PyObject* self, PyObject* other) {
  return guarded([&] {
    const Tensor a = tensor_of(self);
    const Tensor b = other_tensor(other, "equal");
    const bool alike = std::ranges::equal(a.shape(), b.shape());
    return PyBool_FromLong(alike && is_true_everywhere(op::eq(a, b)));
  });
}

}  // namespace

PyMethodDef kComposedMethods[] = {
    {"nonzero", as_function(nonzero), METH_VARARGS | METH_KEYWORDS,
     "nonzero($self, *, as_tuple=False)\n--\n\n"
     "The indices of the elements that are not zero, one a row, as argwhere;\n"
     "or a tuple with a tensor of indices for each dimension.\n\n"
     "Example:\n"
     "    >>> import ferrule as fe\n"
     "    >>> i, j = fe.tensor([[0, 3], [5, 0]]).nonzero(as_tuple=True)\n"
     "    >>> i.tolist(), j.tolist()\n"
     "    ([0, 1], [1, 0])\n"},
    {"where", as_function(where), METH_VARARGS | METH_KEYWORDS,
     "where($self, condition, other)\n--\n\n"
     "ferrule.where(condition, self, other)."},
    {"__reversed__", reversed, METH_NOARGS,
     "__reversed__($self)\n--\n\nThe first dimension from its end."},
    {"allclose", as_function(allclose), METH_VARARGS | METH_KEYWORDS,
     "allclose($self, other, rtol=1e-05, atol=1e-08, equal_nan=False)\n--\n\n"
     "Whether `isclose` holds for all elements; a bool.\n\n"
     "Example:\n"
     "    >>> import ferrule as fe\n"
     "    >>> fe.tensor([1.0]).allclose(fe.tensor([1.0000001]))\n"
     "    True\n"},
    {"equal", equal, METH_O,
     "equal($self, other)\n--\n\n"
     "Whether shapes and all elements are equal; a bool.\n\n"
     "Example:\n"
     "    >>> import ferrule as fe\n"
     "    >>> fe.tensor([1, 2]).equal(fe.tensor([1, 2]))\n"
     "    True\n"},
    {"max", as_function(max), METH_VARARGS | METH_KEYWORDS,
     "max($self, dim=None, keepdim=False)\n--\n\n"
     "The largest element; with `dim`, a named tuple of the `values` along it "
     "and\ntheir `indices`; with a tensor for `dim`, the elementwise "
     "maximum.\n\n"
     "Example:\n"
     "    >>> import ferrule as fe\n"
     "    >>> x = fe.tensor([[1, 5], [7, 2]])\n"
     "    >>> x.max().item(), x.max(1).values.tolist()\n"
     "    (7, [5, 7])\n"},
    {"min", as_function(min), METH_VARARGS | METH_KEYWORDS,
     "min($self, dim=None, keepdim=False)\n--\n\n"
     "The smallest element; with `dim`, a named tuple of the `values` along it "
     "and\ntheir `indices`; with a tensor for `dim`, the elementwise minimum."},
    {"view", view, METH_VARARGS,
     "view($self, *shape)\n--\n\n"
     "The same memory with another shape; one size may be -1.\n\n"
     "Raises:\n"
     "    ShapeError: that needs a copy; `reshape` makes it.\n"},
    {"view_as", view_as, METH_O,
     "view_as($self, other)\n--\n\nview(other.shape)."},
    {"reshape_as", reshape_as, METH_O,
     "reshape_as($self, other)\n--\n\nreshape(other.shape)."},
    {"resize_", resize_, METH_VARARGS,
     "resize_($self, *size)\n--\n\n"
     "Another shape for this tensor, whose elements stay in their order; "
     "elements\nthat it lacks are added with arbitrary values.\n\n"
     "Example:\n"
     "    >>> import ferrule as fe\n"
     "    >>> fe.tensor([[1, 2], [3, 4]]).resize_(3).tolist()\n"
     "    [1, 2, 3]\n"},
    {"resize_as_", resize_as_, METH_O,
     "resize_as_($self, other)\n--\n\nresize_(other.shape)."},
    {"polygamma", polygamma, METH_O,
     "polygamma($self, n)\n--\n\nferrule.polygamma(n, self)."},
    {"expand_as", expand_as, METH_O,
     "expand_as($self, other)\n--\n\nexpand(other.shape)."},
    {"t", t, METH_NOARGS,
     "t($self)\n--\n\nThe matrix transposed; a vector is itself."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace ferrule::python
