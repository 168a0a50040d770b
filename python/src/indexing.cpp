// x[key] and x[key] = value, in terms of ops.
//
// A key is split into basic entries (int, slice, None, ...), which give views,
// and advanced ones (integer tensors or lists, boolean masks), which gather:
// the indexed dimensions are merged into one, the indices into one linear
// index, and index_select does the rest. Rules as of NumPy.
#include "binding.h"
#include "ferrule/autograd.h"
#include "ferrule/ops.h"

namespace ferrule::python {
namespace {

// An integer index tensor (int64) for dimension `dim` of the basic view.
struct Advanced {
  int dim;
  Tensor index;
};

struct Parsed {
  Tensor view;
  std::vector<Advanced> advanced;
};

bool is_list_like(PyObject* o) {
  return PyList_Check(o) || PyTuple_Check(o) || is_numpy_array(o);
}

// A tensor, list or array as index: int64, or a mask of bool.
Tensor index_tensor(PyObject* o) {
  Tensor t = is_tensor(o) ? tensor_of(o) : tensor_from(o, nullptr, "index");
  // An empty list is read as float.
  if (!is_tensor(o) && t.numel() == 0) t = op::cast(t, DType::i64);
  if (t.dtype() == DType::bool_) return t;
  if (!is_integer(t.dtype())) {
    fail<DTypeError>("[index] a tensor used as an index must be of integers or "
                     "a bool mask, got ",
                     t.dtype(), "; convert with .long()");
  }
  return t.dtype() == DType::i64 ? t : op::cast(t, DType::i64);
}

// Is `o` an index that gathers, not an int in disguise?
bool is_advanced(PyObject* o) {
  if (is_tensor(o)) {
    return impl_of(o)->ndim > 0 || impl_of(o)->dtype == DType::bool_;
  }
  if (is_numpy_array(o)) {
    nb::object ndim = own(PyObject_GetAttrString(o, "ndim"));
    return PyLong_AsLong(ndim.ptr()) > 0;
  }
  return is_list_like(o);
}

int dims_of_index(PyObject* o) {
  if (o == Py_None || o == Py_Ellipsis) return 0;
  if (is_tensor(o) && impl_of(o)->dtype == DType::bool_)
    return impl_of(o)->ndim;
  if (is_numpy_array(o)) {
    nb::object kind = own(PyObject_GetAttrString(
        nb::object(nb::handle(o).attr("dtype")).ptr(), "kind"));
    if (PyUnicode_CompareWithASCIIString(kind.ptr(), "b") == 0) {
      nb::object ndim = own(PyObject_GetAttrString(o, "ndim"));
      return static_cast<int>(PyLong_AsLong(ndim.ptr()));
    }
  }
  return 1;
}

class KeyReader {
 public:
  KeyReader(PyObject* self, PyObject* key) {
    view_ = tensor_of(self);
    read(key);
  }
  Parsed take() { return {std::move(view_), std::move(advanced_)}; }

 private:
  void read(PyObject* key) {
    if (!PyTuple_Check(key)) {
      entry(key, 0);
      return;
    }
    Py_ssize_t n = PyTuple_GET_SIZE(key);
    int used = 0, ellipses = 0;
    for (Py_ssize_t i = 0; i < n; ++i) {
      PyObject* o = PyTuple_GET_ITEM(key, i);
      used += dims_of_index(o);
      ellipses += o == Py_Ellipsis;
    }
    if (ellipses > 1) fail<IndexError>("[index] only one '...' is possible");
    if (used > view_.ndim()) {
      fail<IndexError>("[index] ", used, " indices for a tensor of shape ",
                       view_.shape());
    }
    int skipped = view_.ndim() - used;
    for (Py_ssize_t i = 0; i < n; ++i) {
      entry(PyTuple_GET_ITEM(key, i), skipped);
    }
  }

  void entry(PyObject* o, int skipped) {
    if (o == Py_Ellipsis) {
      dim_ += skipped;
    } else if (o == Py_None) {
      view_ = op::unsqueeze(view_, dim_++);
    } else if (PySlice_Check(o)) {
      slice(o);
    } else if (is_advanced(o)) {
      advanced(o);
    } else {
      integer(o);
    }
  }

  void need_dim() const {
    if (dim_ >= view_.ndim()) {
      fail<IndexError>("[index] too many indices for a tensor of ",
                       view_.ndim(), " dimensions (shape ", view_.shape(), ")");
    }
  }

  void integer(PyObject* o) {
    Int i;
    if (PyBool_Check(o) || !int_from(o, &i)) {
      type_error("[index] indices are ints, slices, None, ..., integer or bool "
                 "tensors and lists; got ",
                 Py_TYPE(o)->tp_name);
    }
    need_dim();
    int64_t n = view_.size(dim_);
    if (i.value < -n || i.value >= n) {
      fail<IndexError>("[index] index ", i.value,
                       " is out of range for "
                       "dimension ",
                       dim_, " of shape ", view_.shape(),
                       n ? concat("; valid: ", -n, "..", n - 1) : "");
    }
    view_ = op::select(view_, dim_, i);
  }

  // None stays none: the op knows the ends, also of symbolic sizes.
  static Arg bound(PyObject* o) {
    if (o == Py_None) return Arg();
    Int v;
    if (!int_from(o, &v)) {
      type_error("[index] slices are made of ints, got ", Py_TYPE(o)->tp_name);
    }
    return Arg(v);
  }

  void slice(PyObject* o) {
    auto* s = reinterpret_cast<PySliceObject*>(o);
    need_dim();
    if (s->start == Py_None && s->stop == Py_None && s->step == Py_None) {
      ++dim_;
      return;
    }
    Arg step = s->step == Py_None ? Arg(1) : bound(s->step);
    if (step.i <= 0) {
      fail<ValueError>("[index] the step of a slice must be positive, got ",
                       step.i);
    }
    view_ = op::slice(view_, dim_, bound(s->start), bound(s->stop), step);
    ++dim_;
  }

  void advanced(PyObject* o) {
    Tensor index = index_tensor(o);
    if (index.dtype() != DType::bool_) {
      need_dim();
      advanced_.push_back({dim_++, std::move(index)});
      return;
    }
    int n = index.ndim();
    bool fits = dim_ + n <= view_.ndim() && n > 0;
    for (int k = 0; fits && k < n; ++k) {
      fits = index.size(k) == view_.size(dim_ + k);
    }
    if (!fits) {
      fail<ShapeError>("[index] a mask of shape ", index.shape(),
                       " does not fit dimension ", dim_, " of shape ",
                       view_.shape());
    }
    Tensor where = op::argwhere(index);
    for (int k = 0; k < n; ++k) {
      advanced_.push_back({dim_++, op::select(where, 1, k)});
    }
  }

  Tensor view_;
  std::vector<Advanced> advanced_;
  int dim_ = 0;
};

// Indices in [-size, size) made non-negative, others reported.
Tensor wrap_negative(const Tensor& index, const Tensor& x, int dim) {
  int64_t n = x.size(dim);
  if (index.device().is_cpu()) {
    Tensor dense = index.is_contiguous() ? index : op::clone(index);
    bool negative = false;
    for (int64_t k = 0; k < dense.numel(); ++k) {
      int64_t i = dense.data<int64_t>()[k];
      if (i < -n || i >= n) {
        fail<IndexError>("[index] index ", i, " is out of range for dimension ",
                         dim, " of shape ", x.shape(),
                         n ? concat("; valid: ", -n, "..", n - 1) : "");
      }
      negative |= i < 0;
    }
    if (!negative) return dense;
  }
  return op::where(op::lt(index, 0), op::add(index, size_of(x.impl(), dim)),
                   index);
}

// The advanced indices of a view, as one linear index into merged dimensions.
struct Gather {
  Tensor x;      // indexed dimensions merged into `dim`
  Tensor index;  // linear, one dimension
  int dim = 0;
  IntList shape;    // of the result
  IntList indexed;  // shape of the indices, broadcast
};

Gather make_gather(const Parsed& p) {
  Gather g;
  g.x = p.view;
  int first = p.advanced[0].dim;
  int count = static_cast<int>(p.advanced.size());
  bool adjacent = p.advanced.back().dim - first + 1 == count;
  if (!adjacent) {  // NumPy puts the indexed dimensions first
    IntList order;
    std::vector<bool> taken(g.x.ndim());
    for (const Advanced& a : p.advanced) {
      order.push(a.dim);
      taken[a.dim] = true;
    }
    for (int d = 0; d < g.x.ndim(); ++d) {
      if (!taken[d]) order.push(d);
    }
    g.x = op::permute(g.x, order);
    first = 0;
  }
  g.dim = first;

  Tensor linear;
  for (int k = 0; k < count; ++k) {
    const Advanced& a = p.advanced[k];
    Tensor i = wrap_negative(a.index, g.x, first + k);
    if (linear) {
      Dims s = Dims(linear.shape()), u = Dims(i.shape());
      try {
        linear = op::add(op::mul(linear, size_of(g.x.impl(), first + k)), i);
      } catch (const ShapeError&) {
        fail<ShapeError>("[index] the indices have shapes ", s, " and ", u,
                         ", which do not broadcast");
      }
    } else {
      linear = i;
    }
  }
  g.indexed = sizes_of(linear.impl());
  IntList merged;
  Int total = 1;
  for (int d = 0; d < g.x.ndim(); ++d) {
    Int size = size_of(g.x.impl(), d);
    bool inside = d >= first && d < first + count;
    if (inside) total = total * size;
    if (d == first + count - 1) merged.push(total);
    if (d == first) {
      for (Int s : g.indexed) g.shape.push(s);
    }
    if (inside) continue;
    merged.push(size);
    g.shape.push(size);
  }
  if (count > 1) g.x = op::reshape(g.x, merged);
  g.index = linear.ndim() == 1
                ? linear
                : op::reshape(linear, IntList{numel_of(linear.impl())});
  return g;
}

// The value assigned, as a tensor of the target's dtype.
Tensor value_tensor(PyObject* value, const Tensor& target) {
  Arg number;
  if (is_tensor(value)) {
    Tensor v = tensor_of(value);
    return v.dtype() == target.dtype() ? v : op::cast(v, target.dtype());
  }
  if (number_from(value, &number)) {
    return op::full(IntList{}, number, target.dtype(), target.device());
  }
  DType t = target.dtype();
  Tensor v = tensor_from(value, &t, "setitem");
  return to_device(v, target.device());
}

// Writes at positions that a key of integers lists: one slice at a time, as
// there is no op for it; later positions win.
void write_gathered(const Parsed& p, PyObject* value) {
  if (!p.view.device().is_cpu()) {
    fail<RuntimeError>("[setitem] writing through an index tensor works on the "
                       "CPU and outside of capture only; use ferrule.where");
  }
  int first = p.advanced[0].dim;
  int count = static_cast<int>(p.advanced.size());
  if (p.advanced.back().dim - first + 1 != count) {
    fail<ValueError>(
        "[setitem] writing through index tensors needs them side by "
        "side; use ferrule.where, or write in a loop");
  }
  // Broadcast the indices, and the value to what they address.
  IntList indexed;
  std::vector<Tensor> columns;
  {
    Gather g = make_gather(p);
    indexed = g.indexed;
    for (int k = 0; k < count; ++k) {
      Tensor i = wrap_negative(p.advanced[k].index, p.view, first + k);
      i = op::clone(op::expand(i, indexed));
      columns.push_back(op::reshape(i, IntList{numel_of(i.impl())}));
    }
    Tensor v = op::expand(value_tensor(value, p.view), g.shape);
    // Indexed dimensions first, merged: one row a position.
    IntList order, shape{columns[0].numel()};
    for (int d = 0; d < indexed.n; ++d) order.push(first + d);
    for (int d = 0; d < v.ndim(); ++d) {
      if (d >= first && d < first + indexed.n) continue;
      order.push(d);
      shape.push(v.size(d));
    }
    v = op::reshape(op::permute(v, order), shape);
    for (int64_t r = 0; r < columns[0].numel(); ++r) {
      Tensor target = p.view;
      for (int k = 0; k < count; ++k) {
        target = op::select(target, first, columns[k].data<int64_t>()[r]);
      }
      op::copy_(target, op::select(v, 0, r));
    }
  }
}

// x[mask] = number, for a mask that begins at the first dimension.
bool write_masked(PyObject* self, PyObject* key, PyObject* value) {
  if (!is_tensor(key) || impl_of(key)->dtype != DType::bool_) return false;
  Arg number;
  bool scalar = number_from(value, &number) ||
                (is_tensor(value) && impl_of(value)->ndim == 0);
  Tensor x = tensor_of(self), mask = tensor_of(key);
  if (!scalar || mask.ndim() > x.ndim() || mask.ndim() == 0) return false;
  IntList shape = sizes_of(mask.impl());
  for (int d = 0; d < mask.ndim(); ++d) {
    if (mask.size(d) != x.size(d)) return false;  // reported by the reader
  }
  for (int d = mask.ndim(); d < x.ndim(); ++d) shape.push(1);
  if (shape.n > mask.ndim()) mask = op::reshape(mask, shape);
  op::copy_(x, op::where(mask, value_tensor(value, x), x));
  return true;
}

}  // namespace

PyObject* get_item(PyObject* self, PyObject* key) {
  if (PyLong_CheckExact(key)) {  // the common case
    const TensorImpl* t = impl_of(self);
    int64_t i = PyLong_AsLongLong(key);
    if (i == -1 && PyErr_Occurred()) nb::raise_python_error();
    if (t->ndim > 0 && i >= -t->shape[0] && i < t->shape[0]) {
      return wrap(op::select(impl_of(self), 0, i));
    }
  }
  Parsed p = KeyReader(self, key).take();
  if (p.advanced.empty()) {
    // Never the object itself: x[...] is a new view.
    if (p.view.impl() == impl_of(self)) {
      return wrap(op::reshape(p.view, sizes_of(p.view.impl())));
    }
    return wrap(std::move(p.view));
  }
  Gather g = make_gather(p);
  Tensor y = op::index_select(g.x, g.dim, g.index);
  return wrap(g.indexed.n == 1 ? std::move(y) : op::reshape(y, g.shape));
}

int set_item(PyObject* self, PyObject* key, PyObject* value) {
  if (write_masked(self, key, value)) return 0;
  Parsed p = KeyReader(self, key).take();
  if (!p.advanced.empty()) {
    write_gathered(p, value);
    return 0;
  }
  Arg number;
  if (number_from(value, &number)) {
    op::fill_(p.view, number);
  } else {
    Tensor v = value_tensor(value, p.view);
    op::copy_(p.view, v);
  }
  return 0;
}

}  // namespace ferrule::python
