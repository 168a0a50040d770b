// x[key] and x[key] = value.
//
// Key reads a key once, for both. Its basic entries (ints, slices, None, ...)
// make a view; what is left are index tensors and masks, each for one dimension
// or more of that view, which the ops index, index_put, masked_select and
// masked_scatter take. The rules are NumPy's, also where PyTorch has others: an
// int beside an index tensor counts as one when it is decided where the indexed
// dimensions stand in the result.
#include <bit>

#include "binding.h"
#include "ferrule/autograd.h"
#include "ferrule/ops.h"
#include "runtime/cpu/nonzero.h"

namespace ferrule::python {
namespace {

// No rank allows for more, whatever is None or True.
constexpr int kMaxEntries = 32;

enum class Kind : uint8_t {
  integer,
  slice,
  symbolic_slice,  // with a bound that has an expression
  newaxis,
  ellipsis,
  truth,  // True and False: a mask of no dimension
  array,  // of integers
  mask,   // of bools
};

struct Entry {
  Kind kind;
  int dims;          // how many dimensions of the tensor it is for
  PyObject* object;  // borrowed from the key
  int64_t i;         // integer, truth; array and mask: which of the tensors
  int32_t expr;      // integer: its expression, or -1
  Py_ssize_t start, stop, step;
};

// An index tensor or mask, and the dimension of the view that it begins at.
struct Advanced {
  int dim;
  Tensor tensor;

  bool is_mask() const { return tensor.dtype() == DType::bool_; }
  int dims() const { return is_mask() ? tensor.ndim() : 1; }
};

[[noreturn]] void bad_index(PyObject* o) {
  fail<IndexError>(
      "[index] indices are ints, slices, None, '...', and tensors or lists of "
      "integers or bools; got ",
      Py_TYPE(o)->tp_name);
}

// A list of what is no number is no index.
Tensor array_from(PyObject* o) {
  nb::object list;
  if (PyRange_Check(o)) {
    list = own(PySequence_List(o));
    o = list.ptr();
  }
  try {
    Tensor t = tensor_from(o, nullptr, "index");
    // An empty list is read as float.
    const bool empty = t.numel() == 0 && !is_numpy_array(o);
    return empty ? op::cast(t, DType::i64) : t;
  } catch (...) {
    set_python_error();
    if (!PyErr_ExceptionMatches(PyExc_TypeError)) nb::raise_python_error();
    PyErr_Clear();
  }
  bad_index(o);
}

// The dimension turned round: a copy.
Tensor flipped(const Tensor& t, int dim) { return op::flip(t, IntList{dim}); }

class Key {
 public:
  Key(PyObject* self, PyObject* key, bool writing)
      : x_(tensor_of(self)), writing_(writing) {
    if (PyTuple_Check(key)) {
      const Py_ssize_t n = PyTuple_GET_SIZE(key);
      if (n > kMaxEntries) too_many(n);
      for (Py_ssize_t k = 0; k < n; ++k) read(PyTuple_GET_ITEM(key, k));
    } else {
      read(key);
    }
    const TensorImpl* x = x_.impl();
    if (used_ > x->ndim) too_many(used_);
    if (ellipses_ > 1) {
      fail<IndexError>("[index] only one '...' is possible");
    }
    // Where nothing is recorded, a view is its geometry.
    direct_ = !symbolic_ && !x->device.is_graph() &&
              !(grad_enabled() && x_.requires_grad()) &&
              !(x->root && x->root->history);
    if (!direct_) view_ = x_;
    offset_ = x->offset;
    for (int k = 0; k < n_; ++k) apply(entries_.v[k]);
    keep(x->ndim - from_);
  }
  Key(const Key&) = delete;

  // The view that the basic entries make; never the tensor itself.
  Tensor view() {
    if (direct_) {
      Tensor v = x_.view_as(shape_, strides_, offset_);
      if (inference_mode()) v->inference = true;
      return v;
    }
    if (view_.same(x_)) return op::reshape(x_, sizes_of(x_.impl()));
    return view_;
  }

  std::vector<Advanced>& advanced() { return advanced_; }
  // The advanced entries stand apart from each other: their dimensions come
  // first in the result.
  bool apart() const { return apart_; }
  // The dimensions of the view that are meant backwards, a bit each.
  uint32_t backwards() const { return backwards_; }

 private:
  // --- reading

  [[noreturn]] void too_many(int64_t n) const {
    fail<IndexError>("[index] ", n, " indices for a tensor of shape ",
                     x_.shape());
  }

  Entry& push(Kind kind, PyObject* o, int dims) {
    Entry& e = entries_.v[n_++];
    e.kind = kind;
    e.object = o;
    e.dims = dims;
    used_ += dims;
    return e;
  }
  void push_int(int64_t i, int32_t expr = -1) {
    Entry& e = push(Kind::integer, nullptr, 1);
    e.i = i;
    e.expr = expr;
    symbolic_ |= expr >= 0;
  }
  void push_truth(bool truth) { push(Kind::truth, nullptr, 0).i = truth; }

  void read(PyObject* o) {
    if (PyLong_CheckExact(o)) {
      int overflow;
      const int64_t i = PyLong_AsLongLongAndOverflow(o, &overflow);
      if (overflow) fail<IndexError>("[index] an index exceeds 64 bits");
      push_int(i);
    } else if (PySlice_Check(o)) {
      read_slice(o);
    } else if (o == Py_None) {
      push(Kind::newaxis, o, 0);
    } else if (o == Py_Ellipsis) {
      push(Kind::ellipsis, o, 0);
      ++ellipses_;
    } else if (PyBool_Check(o)) {
      push_truth(o == Py_True);
    } else {
      read_rest(o);
    }
  }

  void read_rest(PyObject* o) {
    Arg number;
    if (is_tensor(o)) {
      read_tensor(tensor_of(o), o);
    } else if (PyList_Check(o) || PyTuple_Check(o) || PyRange_Check(o)) {
      read_tensor(array_from(o), o);
    } else if (is_numpy_array(o) || is_numpy_scalar(o)) {
      if (!number_from(o, &number)) {
        read_tensor(array_from(o), o);
      } else if (number.tag == ArgTag::int_) {
        push_int(number.i);
      } else if (number.tag == ArgTag::bool_) {
        push_truth(number.b);
      } else {
        bad_index(o);
      }
    } else {
      read_index(o);
    }
  }

  // An object with __index__.
  void read_index(PyObject* o) {
    if (PyLong_Check(o)) {
      if (const int32_t expr = expression_of(o); expr >= 0) {
        return push_int(PyLong_AsLongLong(o), expr);
      }
    }
    if (!PyIndex_Check(o)) bad_index(o);
    const Py_ssize_t i = PyNumber_AsSsize_t(o, PyExc_IndexError);
    if (i == -1 && PyErr_Occurred()) nb::raise_python_error();
    push_int(i);
  }

  void read_tensor(Tensor t, PyObject* o) {
    const bool is_bool = t.dtype() == DType::bool_;
    if (!is_bool && !is_integer(t.dtype())) {
      fail<IndexError>("[index] an index must be of integers or bools, got ",
                       Py_TYPE(o)->tp_name, " of ", t.dtype(),
                       "; convert it with .long()");
    }
    if (t.ndim() == 0 && (is_bool || !t.device().is_graph())) {
      nb::object value = own(item(t));
      if (is_bool) return push_truth(value.ptr() == Py_True);
      return push_int(PyLong_AsLongLong(value.ptr()));
    }
    Entry& e =
        push(is_bool ? Kind::mask : Kind::array, o, is_bool ? t.ndim() : 1);
    e.i = static_cast<int64_t>(tensors_.size());
    tensors_.push_back(std::move(t));
  }

  void read_slice(PyObject* o) {
    auto* s = reinterpret_cast<PySliceObject*>(o);
    Entry& e = push(Kind::slice, o, 1);
    if (expression_of(s->start) >= 0 || expression_of(s->stop) >= 0 ||
        expression_of(s->step) >= 0) {
      e.kind = Kind::symbolic_slice;
      symbolic_ = true;
    } else if (PySlice_Unpack(o, &e.start, &e.stop, &e.step) < 0) {
      nb::raise_python_error();
    }
  }

  // --- making the view

  void apply(const Entry& e) {
    // A slice, None or '...' between advanced entries sets them apart.
    const bool counts = e.kind == Kind::integer || e.kind >= Kind::truth;
    if (counts) {
      apart_ |= behind_;
      met_ = true;
    } else {
      behind_ |= met_;
    }
    switch (e.kind) {
      case Kind::integer:
        return select(e);
      case Kind::slice:
      case Kind::symbolic_slice:
        return slice(e);
      case Kind::newaxis:
        return newaxis();
      case Kind::ellipsis:
        return keep(x_.ndim() - used_);
      case Kind::truth:
        return truth(e.i != 0);
      case Kind::array:
      case Kind::mask:
        if (e.kind == Kind::mask) tensors_[e.i] = fitted(tensors_[e.i]);
        advanced_.push_back({dim_, tensors_[e.i]});
        return keep(e.dims);
    }
  }

  // The next n dimensions as they are.
  void keep(int n) {
    if (direct_) {
      for (int k = 0; k < n; ++k) {
        shape_.push(x_->shape[from_ + k]);
        strides_.push(x_->strides[from_ + k]);
      }
    }
    from_ += n;
    dim_ += n;
  }

  void newaxis() {
    if (dim_ >= kMaxRank) {
      fail<IndexError>("[index] more than ", kMaxRank, " dimensions");
    }
    if (direct_) {
      shape_.push(1);
      strides_.push(from_ < x_.ndim() ? x_->shape[from_] * x_->strides[from_]
                                      : 1);
    } else {
      view_ = op::unsqueeze(view_, dim_);
    }
    ++dim_;
  }

  // One or no element of a dimension that is not there; several share it.
  void truth(bool holds) {
    if (truth_ >= 0 && holds) return;
    Tensor index = op::zeros(IntList{holds}, DType::i64, x_.device());
    if (truth_ >= 0) {
      advanced_[truth_].tensor = std::move(index);
      return;
    }
    truth_ = static_cast<int>(advanced_.size());
    advanced_.push_back({dim_, std::move(index)});
    newaxis();
  }

  void select(const Entry& e) {
    const int64_t n = x_->shape[from_];
    if (e.i < -n || e.i >= n) {
      fail<IndexError>("[index] index ", e.i, " is out of range for dimension ",
                       from_, " of shape ", x_.shape(),
                       n ? concat("; valid: ", -n, "..", n - 1) : "");
    }
    if (direct_) {
      offset_ += (e.i < 0 ? e.i + n : e.i) * x_->strides[from_];
    } else {
      view_ = op::select(view_, dim_, Int(e.i, e.expr));
    }
    ++from_;
  }

  void slice(const Entry& e) {
    if (e.kind == Kind::symbolic_slice) return symbolic_slice(e.object);
    const int64_t n = x_->shape[from_];
    Py_ssize_t start = e.start, stop = e.stop;
    const int64_t length = PySlice_AdjustIndices(n, &start, &stop, e.step);
    int64_t step = e.step, first = start;
    if (step < 0) {
      if (!direct_ && size_of(view_.impl(), dim_).symbolic()) {
        return free_slice(e);
      }
      backwards_ |= 1u << dim_;  // a copy, whatever the length
      if (length) first = start + (length - 1) * step;
      step = -step;
    }
    if (direct_) {
      shape_.push(length);
      // Of one element or none the stride does not matter: it is kept.
      strides_.push(x_->strides[from_] * (length > 1 ? step : 1));
      if (length) offset_ += first * x_->strides[from_];
      ++dim_;
    } else if (e.step < 0) {
      const int64_t end = length ? first + (length - 1) * step + 1 : 0;
      view_ = op::slice(view_, dim_, length ? first : 0, end, step);
      ++dim_;
    } else {
      // As it was given: what is beyond the border follows the border.
      const bool all = e.start == 0 && e.stop == PY_SSIZE_T_MAX && step == 1;
      if (!all) view_ = op::slice(view_, dim_, e.start, e.stop, step);
      ++dim_;
    }
    ++from_;
  }

  // Backwards through a size that is chosen at run time.
  void free_slice(const Entry& e) {
    if (writing_) {
      fail<RuntimeError>("[setitem] a captured write cannot go backwards "
                         "through a dimension whose size is free; flip the "
                         "value");
    }
    const Int n = size_of(view_.impl(), dim_);
    view_ = flipped(view_, dim_);
    // Counted from the other end.
    const auto mirrored = [&](Py_ssize_t i, bool given) {
      if (!given) return Arg();
      return i < 0 ? Arg(static_cast<int64_t>(-(i + 1)))
                   : Arg(combine(IntOp::max, n - 1 - Int(i), 0));
    };
    view_ = op::slice(view_, dim_, mirrored(e.start, e.start != PY_SSIZE_T_MAX),
                      mirrored(e.stop, e.stop != PY_SSIZE_T_MIN),
                      -std::max<Py_ssize_t>(e.step, -PY_SSIZE_T_MAX));
    ++dim_;
    ++from_;
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

  void symbolic_slice(PyObject* o) {
    auto* s = reinterpret_cast<PySliceObject*>(o);
    Arg step = s->step == Py_None ? Arg(1) : bound(s->step);
    if (step.i <= 0) {
      fail<ValueError>("[index] with symbolic bounds the step of a slice must "
                       "be positive, got ",
                       step.i);
    }
    view_ = op::slice(view_, dim_, bound(s->start), bound(s->stop), step);
    ++dim_;
    ++from_;
  }

  // A mask that fits. A size of 0 fits every dimension, as in NumPy and the
  // array API, and picks nothing: so does a mask that is false throughout.
  Tensor fitted(const Tensor& mask) const {
    bool same = true;
    IntList shape;
    for (int k = 0; k < mask.ndim(); ++k) {
      const Int size = size_of(x_.impl(), from_ + k);
      shape.push(size);
      if (mask.size(k) == size.value) continue;
      same = false;
      if (mask.size(k) == 0) continue;
      fail<IndexError>("[index] a mask of shape ", mask.shape(),
                       " does not fit dimension ", from_ + k, " of shape ",
                       x_.shape());
    }
    if (same) return mask;
    return op::zeros(shape, DType::bool_, mask.device());
  }

  // Raw memory: only what is used is written.
  union Entries {
    Entries() {}
    Entry v[kMaxEntries];
  };

  Tensor x_;
  bool writing_;
  bool symbolic_ = false;  // an entry has an expression
  int n_ = 0, used_ = 0, ellipses_ = 0;
  std::vector<Tensor> tensors_;

  bool direct_ = false;
  bool met_ = false, behind_ = false, apart_ = false;
  int from_ = 0;  // the next dimension of the tensor
  int dim_ = 0;   // the next dimension of the view
  Tensor view_;   // unless direct
  Dims shape_, strides_;
  int64_t offset_ = 0;
  uint32_t backwards_ = 0;
  std::vector<Advanced> advanced_;
  int truth_ = -1;  // which of them stands for True or False
  Entries entries_;
};

// A view and a list of index tensors for its first dimensions.
struct Indexed {
  Tensor view;
  std::vector<Tensor> list;  // empty: all of a dimension
  // The rank of the indices, broadcast, and where it stands in the result.
  int rank = 0, first = 0;
  uint32_t indexed = 0;  // dimensions of the view, a bit each

  Indexed(Tensor v, const std::vector<Advanced>& advanced, bool apart)
      : view(std::move(v)) {
    for (const Advanced& a : advanced) {
      if (!a.is_mask()) {
        put(a.dim, a.tensor);
        continue;
      }
      Tensor where = op::argwhere(a.tensor);
      for (int k = 0; k < a.tensor.ndim(); ++k) {
        put(a.dim + k, op::select(where, 1, k));
      }
    }
    first = apart ? 0 : advanced[0].dim;
    if (apart) bring_first();
  }

  // Which dimension of the result a dimension of the view becomes; -1: none.
  int result_dim(int dim) const {
    if (indexed >> dim & 1) return -1;
    int rest = 0;
    for (int d = 0; d < dim; ++d) rest += !(indexed >> d & 1);
    return rest < first ? rest : rest + rank;
  }

 private:
  void put(int dim, Tensor index) {
    if (static_cast<int>(list.size()) <= dim) list.resize(dim + 1);
    rank = std::max(rank, index.ndim());
    list[dim] = std::move(index);
    indexed |= 1u << dim;
  }

  // The op sees only what is left: an int may have stood between.
  void bring_first() {
    IntList order;
    std::vector<Tensor> front;
    for (int d = 0; d < static_cast<int>(list.size()); ++d) {
      if (!list[d]) continue;
      order.push(d);
      front.push_back(list[d]);
    }
    if (order[0].value == 0) return;
    for (int d = 0; d < view.ndim(); ++d) {
      if (!(indexed >> d & 1)) order.push(d);
    }
    view = op::permute(view, order);
    list = std::move(front);
  }
};

// Where nothing is read or written, kernels do not look at the indices.
void check_unread(const Indexed& x) {
  for (const Tensor& index : x.list) {
    if (index && index.numel() == 0) return;  // and neither does NumPy
  }
  for (size_t d = 0; d < x.list.size(); ++d) {
    const Tensor& index = x.list[d];
    if (!index || !index.device().is_cpu()) continue;
    NoGrad no_grad;
    op::index(op::zeros(IntList{x.view.size(static_cast<int>(d))}, DType::bool_,
                        Device{}),
              std::vector<Tensor>{index});
  }
}

// A mask for all of the view, and nothing else.
bool is_whole_mask(const std::vector<Advanced>& advanced, const Tensor& view) {
  return advanced.size() == 1 && advanced[0].is_mask() &&
         advanced[0].dims() == view.ndim();
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

// Leading dimensions of size 1 that the target does not have go, as in NumPy.
Tensor without_lead(Tensor v, int ndim) {
  int extra = v.ndim() - ndim;
  for (int k = 0; k < extra; ++k) {
    if (v.size(k) != 1) return v;
  }
  while (extra-- > 0) v = op::select(v, 0, 0);
  return v;
}

// The value of a target some of whose dimensions are written backwards.
Tensor turned(Tensor v, int ndim, uint32_t backwards) {
  for (int d = 0; d < ndim; ++d) {
    const int own = d - (ndim - v.ndim());
    if (!(backwards >> d & 1) || own < 0 || v.size(own) == 1) continue;
    v = flipped(v, own);
  }
  return v;
}

// x[i] += y writes into the view x[i], and then assigns it to x[i].
bool is_itself(const Tensor& target, PyObject* value) {
  if (!is_tensor(value)) return false;
  const TensorImpl *a = target.impl(), *b = impl_of(value);
  return a->root && a->root == b->root && a->dtype == b->dtype &&
         a->offset == b->offset && Dims(a->sizes()) == Dims(b->sizes()) &&
         Dims(a->steps()) == Dims(b->steps()) && !a->device.is_graph();
}

void write_basic(const Key& key, const Tensor& view, PyObject* value) {
  Arg number;
  if (number_from(value, &number)) {
    op::fill_(view, number);
    return;
  }
  if (key.backwards() == 0 && is_itself(view, value)) return;
  Tensor v = without_lead(value_tensor(value, view), view.ndim());
  op::copy_(view, turned(std::move(v), view.ndim(), key.backwards()));
}

// x[mask] = number, which needs no count of the mask: it can be captured.
bool write_number(const Tensor& view, const Advanced& a, PyObject* value) {
  Arg number;
  Tensor single;
  if (!number_from(value, &number)) {
    if (!is_tensor(value) || impl_of(value)->ndim > 0) return false;
    single = tensor_of(value);
    number = Arg(single);
  }
  IntList shape = sizes_of(a.tensor.impl());
  for (int d = a.dim + a.dims(); d < view.ndim(); ++d) shape.push(1);
  Tensor mask = a.tensor;
  if (shape.n > mask.ndim()) mask = op::reshape(mask, shape);
  op::masked_fill.inplace(view, mask, number);
  return true;
}

// x[mask] = values, for a mask of all of x.
void write_packed(const Tensor& view, const Tensor& mask, Tensor v) {
  v = without_lead(std::move(v), 1);
  const Tensor host = on_host(mask, "setitem");
  const int64_t n = cpu::count_nonzero(*host.impl());
  if (v.ndim() > 1 || (v.numel() != n && v.numel() != 1)) {
    fail<ShapeError>("[setitem] values of shape ", v.shape(),
                     " do not fit the ", n, " elements where the mask is True");
  }
  if (v.numel() == 1) {
    op::masked_fill.inplace(view, mask, op::reshape(v, IntList{}));
  } else {
    op::masked_scatter.inplace(view, mask, v);
  }
}

}  // namespace

PyObject* get_item(PyObject* self, PyObject* key) {
  Key k(self, key, false);
  Tensor view = k.view();
  for (int d = 0; d < view.ndim(); ++d) {
    if (k.backwards() >> d & 1) view = flipped(view, d);
  }
  const std::vector<Advanced>& advanced = k.advanced();
  if (advanced.empty()) return wrap(std::move(view));
  if (is_whole_mask(advanced, view)) {
    return wrap(op::masked_select(view, advanced[0].tensor));
  }
  const Indexed x(std::move(view), advanced, k.apart());
  Tensor y = op::index(x.view, x.list);
  if (y.numel() == 0) check_unread(x);
  return wrap(std::move(y));
}

int set_item(PyObject* self, PyObject* key, PyObject* value) {
  Key k(self, key, true);
  Tensor view = k.view();
  const std::vector<Advanced>& advanced = k.advanced();
  if (advanced.empty()) {
    write_basic(k, view, value);
    return 0;
  }
  if (advanced.size() == 1 && advanced[0].is_mask()) {
    if (write_number(view, advanced[0], value)) return 0;
    if (is_whole_mask(advanced, view)) {
      write_packed(view, advanced[0].tensor, value_tensor(value, view));
      return 0;
    }
  }
  const Indexed x(std::move(view), advanced, k.apart());
  const int ndim = x.rank + x.view.ndim() - std::popcount(x.indexed);
  uint32_t backwards = 0;
  for (int d = 0; d < x.view.ndim(); ++d) {
    if (k.backwards() >> d & 1) backwards |= 1u << x.result_dim(d);
  }
  Tensor v = without_lead(value_tensor(value, x.view), ndim);
  v = turned(std::move(v), ndim, backwards);
  op::index_put.inplace(x.view, x.list, v);
  if (x.view.numel() == 0) check_unread(x);
  return 0;
}

}  // namespace ferrule::python
