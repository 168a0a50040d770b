// Methods of Tensor whose result is a tuple of views (no op has that), and
// as_strided, which looks at the memory behind a tensor.
#include <algorithm>

#include "binding.h"
#include "ferrule/ops.h"

namespace ferrule::python {
namespace {

using Parts = std::vector<Tensor>;

PyObject* tuple_of(Parts parts) {
  nb::object tuple = own(PyTuple_New(static_cast<Py_ssize_t>(parts.size())));
  for (size_t i = 0; i < parts.size(); ++i) {
    PyTuple_SET_ITEM(tuple.ptr(), static_cast<Py_ssize_t>(i),
                     wrap(std::move(parts[i])));
  }
  return tuple.release().ptr();
}

int wrap_dim(const Tensor& x, int64_t dim, const char* who) {
  const int n = x.ndim();
  if (n == 0) {
    fail<ShapeError>("[", who, "] a 0-d tensor has no dimension to divide");
  }
  if (dim < -n || dim >= n) {
    fail<IndexError>("[", who, "] dim ", dim, " is out of range for shape ",
                     x.shape(), "; valid: ", -n, "..", n - 1);
  }
  return static_cast<int>(dim < 0 ? dim + n : dim);
}

bool is_list(PyObject* o) { return PyList_Check(o) || PyTuple_Check(o); }

std::vector<Int> ints_of(PyObject* o, const char* who, const char* what) {
  std::vector<Int> result;
  nb::object items = own(PySequence_Tuple(o));
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(items.ptr()); ++i) {
    PyObject* item = PyTuple_GET_ITEM(items.ptr(), i);
    Int v;
    if (!int_from(item, &v)) {
      type_error("[", who, "] ", what, " must be ints, got ",
                 Py_TYPE(item)->tp_name);
    }
    result.push_back(v);
  }
  return result;
}

// --- where the parts end

// Parts of equal size, the last one may be smaller.
Parts split_by_size(const Tensor& x, Int size, int dim, const char* who) {
  const int64_t n = x.size(dim);
  if (size.value < 0 || (size.value == 0 && n > 0)) {
    fail<ValueError>("[", who, "] the size of a part must be 1 or more, got ",
                     size.value);
  }
  Parts parts;
  if (n == 0) {
    parts.push_back(op::slice(x, dim, 0, Arg(), 1));
    return parts;
  }
  Int start = 0;
  for (int64_t at = 0; at < n; at += size.value) {
    // The last part ends at the end, whatever the size is another time.
    const bool last = n - at <= size.value;
    const Int end = start + size;
    parts.push_back(op::slice(x, dim, start, last ? Arg() : Arg(end), 1));
    start = end;
  }
  return parts;
}

Parts split_by_sizes(const Tensor& x, const std::vector<Int>& sizes, int dim,
                     const char* who) {
  int64_t total = 0;
  for (Int s : sizes) {
    if (s.value < 0 || s.value > x.size(dim)) {
      fail<ValueError>("[", who, "] sizes must lie in 0..", x.size(dim),
                       ", got ", s.value);
    }
    total += s.value;
  }
  if (total != x.size(dim)) {
    fail<ShapeError>("[", who, "] the sizes add up to ", total, ", dimension ",
                     dim, " of shape ", x.shape(), " is ", x.size(dim));
  }
  Parts parts;
  Int start = 0;
  for (Int s : sizes) {
    parts.push_back(op::narrow(x, dim, start, s));
    start = start + s;
  }
  return parts;
}

// As numpy.array_split: `count` parts whose sizes differ by at most 1, or cuts
// before the given indices.
Parts split_evenly(const Tensor& x, PyObject* where, int dim, const char* who) {
  Parts parts;
  const int64_t n = x.size(dim);
  if (is_list(where)) {
    int64_t start = 0;
    for (Int i : ints_of(where, who, "indices")) {
      const int64_t wrapped = i.value < 0 ? i.value + n : i.value;
      const int64_t end = std::clamp<int64_t>(wrapped, 0, n);
      parts.push_back(op::slice(x, dim, start, std::max(start, end), 1));
      start = end;
    }
    parts.push_back(op::slice(x, dim, start, Arg(), 1));
    return parts;
  }
  Int count;
  if (!int_from(where, &count)) {
    type_error("[", who, "] expected a number of parts or a list of indices");
  }
  if (count.value < 1 || count.value > INT32_MAX) {
    fail<ValueError>("[", who, "] the number of parts must be 1 or more, got ",
                     count.value);
  }
  int64_t start = 0;
  for (int64_t k = 0; k < count.value; ++k) {
    const int64_t size = n / count.value + (k < n % count.value);
    parts.push_back(op::narrow(x, dim, start, size));
    start += size;
  }
  return parts;
}

// --- the methods

// Arguments (what, dim=0) under the names that PyTorch gives them.
template <class Cut>
PyObject* cut_along(PyObject* self, PyObject* args, PyObject* kwargs,
                    const char* who, const char* what, const Cut& cut) {
  const char* names[] = {what, "dim", nullptr};
  const std::string format = concat("O|L:", who);
  PyObject* first = nullptr;
  long long dim = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, format.c_str(),
                                   const_cast<char**>(names), &first, &dim)) {
    return nullptr;
  }
  return guarded([&] {
    const Tensor x = tensor_of(self);
    return tuple_of(cut(x, first, wrap_dim(x, dim, who)));
  });
}

PyObject* split(PyObject* self, PyObject* args, PyObject* kwargs) {
  return cut_along(
      self, args, kwargs, "split", "split_size_or_sections",
      [](const Tensor& x, PyObject* what, int dim) {
        Int size;
        if (int_from(what, &size)) return split_by_size(x, size, dim, "split");
        if (!is_list(what)) {
          type_error("[split] expected a size or a list of sizes, got ",
                     Py_TYPE(what)->tp_name);
        }
        return split_by_sizes(x, ints_of(what, "split", "sizes"), dim, "split");
      });
}

PyObject* split_with_sizes(PyObject* self, PyObject* args, PyObject* kwargs) {
  return cut_along(self, args, kwargs, "split_with_sizes", "split_sizes",
                   [](const Tensor& x, PyObject* what, int dim) {
                     return split_by_sizes(
                         x, ints_of(what, "split_with_sizes", "sizes"), dim,
                         "split_with_sizes");
                   });
}

PyObject* chunk(PyObject* self, PyObject* args, PyObject* kwargs) {
  return cut_along(self, args, kwargs, "chunk", "chunks",
                   [](const Tensor& x, PyObject* what, int dim) {
                     Int count;
                     if (!int_from(what, &count)) {
                       type_error("[chunk] chunks must be an int, got ",
                                  Py_TYPE(what)->tp_name);
                     }
                     if (count.value < 1) {
                       fail<ValueError>(
                           "[chunk] chunks must be 1 or more, got ",
                           count.value);
                     }
                     const Int n = size_of(x.impl(), dim);
                     const Int size = (n + count - Int(1)) / count;
                     return split_by_size(x, size, dim, "chunk");
                   });
}

PyObject* tensor_split(PyObject* self, PyObject* args, PyObject* kwargs) {
  return cut_along(self, args, kwargs, "tensor_split", "indices_or_sections",
                   [](const Tensor& x, PyObject* what, int dim) {
                     return split_evenly(x, what, dim, "tensor_split");
                   });
}

// hsplit, vsplit and dsplit: numpy's, which want parts of equal size.
PyObject* split_equally(PyObject* self, PyObject* where, const char* who,
                        int dim, int least_rank) {
  return guarded([&] {
    const Tensor x = tensor_of(self);
    if (x.ndim() < least_rank) {
      fail<ShapeError>("[", who, "] needs ", least_rank,
                       " dimensions or more, got shape ", x.shape());
    }
    Int count;
    if (int_from(where, &count) && count.value > 0 &&
        x.size(dim) % count.value != 0) {
      fail<ShapeError>("[", who, "] dimension ", dim, " of shape ", x.shape(),
                       " cannot be divided into ", count.value,
                       " equal parts; tensor_split makes unequal ones");
    }
    return tuple_of(split_evenly(x, where, dim, who));
  });
}
PyObject* hsplit(PyObject* self, PyObject* where) {
  return split_equally(self, where, "hsplit", impl_of(self)->ndim > 1 ? 1 : 0,
                       1);
}
PyObject* vsplit(PyObject* self, PyObject* where) {
  return split_equally(self, where, "vsplit", 0, 2);
}
PyObject* dsplit(PyObject* self, PyObject* where) {
  return split_equally(self, where, "dsplit", 2, 3);
}

PyObject* unbind(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"dim", nullptr};
  long long dim = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|L:unbind",
                                   const_cast<char**>(names), &dim)) {
    return nullptr;
  }
  return guarded([&] {
    const Tensor x = tensor_of(self);
    const int d = wrap_dim(x, dim, "unbind");
    Parts parts;
    for (int64_t i = 0; i < x.size(d); ++i) {
      parts.push_back(op::select(x, d, i));
    }
    return tuple_of(std::move(parts));
  });
}

// Geometry counts in the memory of the tensor, as in PyTorch. The op counts the
// elements of its input: the tensor itself, or what it is a view of.
PyObject* as_strided(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"size", "stride", "storage_offset", nullptr};
  PyObject *size = nullptr, *stride = nullptr, *offset = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|O:as_strided",
                                   const_cast<char**>(names), &size, &stride,
                                   &offset)) {
    return nullptr;
  }
  return guarded([&] {
    const Tensor x = tensor_of(self);
    IntList sizes, strides;
    for (Int i : ints_of(size, "as_strided", "sizes")) sizes.push(i);
    for (Int i : ints_of(stride, "as_strided", "strides")) strides.push(i);
    Int first = x->offset;
    if (offset != Py_None && !int_from(offset, &first)) {
      type_error("[as_strided] storage_offset must be an int, got ",
                 Py_TYPE(offset)->tp_name);
    }
    int64_t last = apply(IntOp::sub, first.value, x->offset);
    for (int i = 0; i < std::min(sizes.n, strides.n); ++i) {
      const int64_t steps = std::max<int64_t>(sizes[i].value, 1) - 1;
      last =
          apply(IntOp::add, last, apply(IntOp::mul, strides[i].value, steps));
    }
    const bool inside =
        x.is_contiguous() && first.value >= x->offset && last < x.numel();
    const Tensor base = inside || !x->root ? x : Tensor::share(x->root);
    if (!base.is_contiguous()) {
      fail<ShapeError>("[as_strided] the tensor that owns the memory, shape ",
                       base.shape(), " with strides ", base.strides(),
                       ", is not dense; use contiguous() first");
    }
    return wrap(
        op::as_strided(base, sizes, strides, first - Int(base->offset)));
  });
}

}  // namespace

PyMethodDef kPartMethods[] = {
    {"split", as_function(split), METH_VARARGS | METH_KEYWORDS,
     "split($self, split_size_or_sections, dim=0)\n--\n\n"
     "Views of the parts of one dimension, a tuple.\n\n"
     "Args:\n"
     "    split_size_or_sections: the size of every part but the last, which\n"
     "        may be smaller; or a list of sizes that add up.\n"
     "    dim: the dimension.\n\n"
     "Raises:\n"
     "    ShapeError: the sizes do not add up.\n"
     "    IndexOutOfRange: there is no such dimension.\n\n"
     "Example:\n"
     "    >>> import ferrule as fe\n"
     "    >>> [part.tolist() for part in fe.arange(5).split(2)]\n"
     "    [[0, 1], [2, 3], [4]]\n\n"
     "Source: torch.split.\n"},
    {"split_with_sizes", as_function(split_with_sizes),
     METH_VARARGS | METH_KEYWORDS,
     "split_with_sizes($self, split_sizes, dim=0)\n--\n\n"
     "split with a list of sizes.\n\n"
     "Example:\n"
     "    >>> import ferrule as fe\n"
     "    >>> fe.arange(3).split_with_sizes([1, 2])[1].tolist()\n"
     "    [1, 2]\n"},
    {"chunk", as_function(chunk), METH_VARARGS | METH_KEYWORDS,
     "chunk($self, chunks, dim=0)\n--\n\n"
     "Views of at most `chunks` equal parts; the last one may be smaller.\n\n"
     "Raises:\n"
     "    ValueError: chunks is less than 1.\n"
     "    IndexOutOfRange: there is no such dimension.\n\n"
     "Example:\n"
     "    >>> import ferrule as fe\n"
     "    >>> [part.tolist() for part in fe.arange(5).chunk(2)]\n"
     "    [[0, 1, 2], [3, 4]]\n\n"
     "Source: torch.chunk.\n"},
    {"tensor_split", as_function(tensor_split), METH_VARARGS | METH_KEYWORDS,
     "tensor_split($self, indices_or_sections, dim=0)\n--\n\n"
     "Views of so many parts, whose sizes differ by at most 1; or of the\n"
     "parts between the given indices.\n\n"
     "Example:\n"
     "    >>> import ferrule as fe\n"
     "    >>> [part.tolist() for part in fe.arange(5).tensor_split([1, 3])]\n"
     "    [[0], [1, 2], [3, 4]]\n\n"
     "Source: numpy.array_split.\n"},
    {"hsplit", hsplit, METH_O,
     "hsplit($self, indices_or_sections)\n--\n\n"
     "tensor_split along the columns, into equal parts."},
    {"vsplit", vsplit, METH_O,
     "vsplit($self, indices_or_sections)\n--\n\n"
     "tensor_split along the rows, into equal parts."},
    {"dsplit", dsplit, METH_O,
     "dsplit($self, indices_or_sections)\n--\n\n"
     "tensor_split along dimension 2, into equal parts."},
    {"unbind", as_function(unbind), METH_VARARGS | METH_KEYWORDS,
     "unbind($self, dim=0)\n--\n\n"
     "Views of all elements of one dimension, a tuple.\n\n"
     "Example:\n"
     "    >>> import ferrule as fe\n"
     "    >>> a, b = fe.tensor([[1, 2], [3, 4]]).unbind(1)\n"
     "    >>> a.tolist(), b.tolist()\n"
     "    ([1, 3], [2, 4])\n\n"
     "Source: torch.unbind.\n"},
    {"as_strided", as_function(as_strided), METH_VARARGS | METH_KEYWORDS,
     "as_strided($self, size, stride, storage_offset=None)\n--\n\n"
     "A view of the memory behind a tensor with any geometry.\n\n"
     "Args:\n"
     "    size, stride: sizes, and steps in elements.\n"
     "    storage_offset: the first element; None: that of the tensor.\n\n"
     "Raises:\n"
     "    ShapeError: the view reaches beyond the memory.\n\n"
     "Example:\n"
     "    >>> import ferrule as fe\n"
     "    >>> fe.arange(5).as_strided((3, 2), (1, 1)).tolist()\n"
     "    [[0, 1], [1, 2], [2, 3]]\n\n"
     "Source: torch.as_strided. Gradients reach the tensor where the view\n"
     "stays inside of it, else what the tensor is a view of.\n"},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace ferrule::python
