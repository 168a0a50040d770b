// Python arguments -> the Args of one op, against its signature.
#include "binder.h"

#include <algorithm>

#include "call_site.h"

#include "ferrule/autograd.h"
#include "ferrule/random.h"

namespace ferrule::python {
namespace {

// NumPy's spellings, and those of the Array API.
struct Alias {
  const char* spelling;
  const char* name;
  PyObject* key = nullptr;
};
Alias aliases[] = {{"axis", "dim"},
                   {"keepdims", "keepdim"},
                   {"x", "input"},
                   {"x1", "input"},
                   {"x2", "other"}};

// Inputs with more elements than this are worth letting other threads run.
constexpr int64_t kLargeWork = 32768;

bool same_text(PyObject* key, std::string_view name) {
  Py_ssize_t n;
  const char* s = PyUnicode_AsUTF8AndSize(key, &n);
  if (!s) nb::raise_python_error();
  return std::string_view(s, n) == name;
}

int varargs_parameter(const Schema& s) {
  for (int i = 0; i < s.n && i < 2; ++i) {
    const Param& p = s.params[i];
    bool named = p.name == "size" || p.name == "shape" || p.name == "dims" ||
                 p.name == "repeats";
    if (p.kind == ParamKind::ints && !p.fixed_len && named) {
      return s.required <= i + 1 ? i : -1;
    }
    if (p.kind != ParamKind::tensor) break;
  }
  return -1;
}

// Calls visit for every word of the op's `aliases`.
template <class Visit>
void each_alias(const OpDef& op, const Visit& visit) {
  std::string_view rest = op.aliases ? op.aliases : "";
  while (!rest.empty()) {
    const size_t space = std::min(rest.find(' '), rest.size());
    visit(rest.substr(0, space));
    rest.remove_prefix(std::min(space + 1, rest.size()));
  }
}

}  // namespace

OpEntry make_entry(const OpDef& op, bool in_place) {
  const OpInfo& info = info_of(op);
  const Schema& s = info.schema;
  bool creates = s.find("device") >= 0 && s.params[0].kind != ParamKind::tensor;
  const bool takes_inplace =
      op.has_inplace && !in_place && (op.where & kFunctional);
  return {&op,
          &info,
          in_place,
          varargs_parameter(s),
          creates,
          takes_inplace,
          in_place ? nullptr : mistake_of(op)};
}

std::vector<std::string> aliases_of(const OpDef& op) {
  std::vector<std::string> names;
  each_alias(op, [&](std::string_view alias) {
    if (alias.find('.') == alias.npos) names.emplace_back(alias);
  });
  return names;
}

std::vector<ModuleName> module_names_of(const OpDef& op) {
  std::vector<ModuleName> names;
  each_alias(op, [&](std::string_view alias) {
    const size_t dot = alias.rfind('.');
    if (dot == alias.npos) return;
    names.push_back({std::string(alias.substr(0, dot)),
                     std::string(alias.substr(dot + 1))});
  });
  return names;
}

void prepare_keywords() {
  for (const OpDef* op : all_ops()) {
    const Schema& s = info_of(*op).schema;
    for (int i = 0; i < s.n; ++i) {
      std::string name(s.params[i].name);
      s.params[i].key =
          own(PyUnicode_InternFromString(name.c_str())).release().ptr();
    }
  }
  for (Alias& a : aliases) {
    a.key = own(PyUnicode_InternFromString(a.spelling)).release().ptr();
  }
}

// --- matching

void Binder::fail_signature(const std::string& what) const {
  type_error("[", entry_.op->name, "] ", what, "\n  ", signature_text(entry_));
}

void Binder::bad_argument(int i, PyObject* got, const char* want) const {
  const ParamKind kind = entry_.info->schema.params[i].kind;
  const char* hint = "";
  if (kind == ParamKind::tensor && PyTuple_Check(got)) {
    hint = "; if a layer returned it, take the part that is meant, as in "
           "output, state = lstm(x)";
  } else if (kind == ParamKind::tensor && got == Py_None) {
    hint = "; does the function that it came from return its result?";
  }
  fail_signature(concat("'", entry_.info->schema.params[i].name, "' must be ",
                        want, ", got ", Py_TYPE(got)->tp_name, hint));
}

int Binder::find_keyword(PyObject* key) const {
  const Schema& s = entry_.info->schema;
  for (int i = 0; i < s.n; ++i) {
    if (s.params[i].key == key) return i;
  }
  for (const Alias& a : aliases) {
    if (a.key == key || same_text(key, a.spelling)) {
      if (int i = s.find(a.name); i >= 0) return i;
    }
  }
  for (int i = 0; i < s.n; ++i) {
    if (same_text(key, s.params[i].name)) return i;
  }
  return -1;
}

void Binder::take_inplace(PyObject* value) {
  if (!PyBool_Check(value)) {
    fail_signature(
        concat("'inplace' must be a bool, got ", Py_TYPE(value)->tp_name));
  }
  in_place_ = value == Py_True;
}

void Binder::parse_keywords(PyObject* const* values, PyObject* kwnames) {
  Py_ssize_t n = PyTuple_GET_SIZE(kwnames);
  for (Py_ssize_t k = 0; k < n; ++k) {
    PyObject* key = PyTuple_GET_ITEM(kwnames, k);
    int i = find_keyword(key);
    if (i < 0 && entry_.creates && same_text(key, "requires_grad")) {
      requires_grad_ = PyObject_IsTrue(values[k]) == 1;
      continue;
    }
    if (i < 0 && entry_.op->random && same_text(key, "generator")) {
      generator_ = generator_from(values[k]);
      continue;
    }
    if (i < 0 && entry_.takes_inplace && same_text(key, "inplace")) {
      take_inplace(values[k]);
      continue;
    }
    if (i < 0) {
      fail_signature(concat("unknown argument '", PyUnicode_AsUTF8(key), "'"));
    }
    if (objects_[i]) {
      fail_signature(concat("several values for '",
                            entry_.info->schema.params[i].name, "'"));
    }
    objects_[i] = values[k];
  }
}

void Binder::parse(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                   PyObject* kwnames) {
  const Schema& s = entry_.info->schema;
  int given = 0;
  if (self) objects_[given++] = self;
  // f(2, 3) for f((2, 3)): from there on all are ints.
  int at = entry_.varargs - given;
  int nvar = 0;
  if (entry_.varargs >= 0 && nargs > at + 1 && at >= 0) [[unlikely]] {
    bool all = true;
    for (Py_ssize_t k = at; k < nargs; ++k) {
      all = all && PyIndex_Check(args[k]) && !PyBool_Check(args[k]);
    }
    if (all) {
      nvar = static_cast<int>(nargs - at);
      nargs = at + 1;
    }
  }
  if (given + nargs > s.positional) [[unlikely]] {
    int n = given + static_cast<int>(nargs);
    if (n == s.n + 1 && entry_.takes_inplace && !kwnames) {
      take_inplace(args[--nargs]);
    } else {
      fail_signature(concat("takes at most ", s.positional,
                            " positional arguments, got ", n));
    }
  }
  for (Py_ssize_t k = 0; k < nargs; ++k) objects_[given++] = args[k];
  for (int i = given; i < s.n; ++i) objects_[i] = nullptr;
  if (kwnames) {
    // Keyword values follow all positional ones, the ints of varargs included.
    parse_keywords(args + nargs + (nvar ? nvar - 1 : 0), kwnames);
  }
  for (int i = 0; i < s.n; ++i) {
    new (&args_.v[i]) Arg;
    PyObject* o = objects_[i];
    if (!o) {
      const Param& p = s.params[i];
      if (!p.has_default && !p.optional) [[unlikely]] {
        fail_signature(concat("missing argument '", p.name, "'"));
      }
    } else if (nvar && i == entry_.varargs) {
      push_ints(i, args + at, nvar);
    } else if (is_exact_tensor(o) && (s.params[i].kind == ParamKind::tensor ||
                                      s.params[i].kind == ParamKind::operand))
        [[likely]] {
      args_.v[i] = Arg(impl_of(o));
    } else {
      convert(i, o);
    }
  }
  if (!ran_python_) return;
  // What ran may have given a tensor another implementation: look again, and
  // hold on to it.
  for (int i = 0; i < s.n; ++i) {
    if (objects_[i] && args_.v[i].is_tensor() && is_tensor(objects_[i])) {
      made_.push_back(tensor_of(objects_[i]));
      args_.v[i].tensor = made_.back().impl();
    }
  }
}

// --- conversion

void Binder::convert(int i, PyObject* o) {
  const Param& p = entry_.info->schema.params[i];
  Arg& a = args_.v[i];
  if (o == Py_None) {
    // Where None is no value it stands for a default, if there is one.
    if (!p.optional && !p.has_default) bad_argument(i, o, "given");
    return;
  }
  switch (p.kind) {
    case ParamKind::tensor:
    case ParamKind::operand:
      return convert_operand(i, o);
    case ParamKind::tensors:
      return convert_tensors(i, o);
    case ParamKind::int_:
      a = Arg(to_int(i, o));
      return;
    case ParamKind::float_: {
      if (PyFloat_CheckExact(o)) {
        a = Arg(PyFloat_AS_DOUBLE(o));
        return;
      }
      ran_python_ = true;
      if (take_run_number(i, o)) return;
      if (PyBool_Check(o) || !number_from(o, &a) || a.tag == ArgTag::bool_) {
        bad_argument(i, o, "a float");
      }
      if (a.tag == ArgTag::int_) a = Arg(static_cast<double>(a.i));
      return;
    }
    case ParamKind::bool_:
      if (!PyBool_Check(o)) {
        ran_python_ = true;
        if (!is_numpy_scalar(o) || !number_from(o, &a) ||
            a.tag != ArgTag::bool_) {
          bad_argument(i, o, "a bool");
        }
        return;
      }
      a = Arg(o == Py_True);
      return;
    case ParamKind::ints:
      return convert_ints(i, o);
    case ParamKind::str: {
      if (!PyUnicode_Check(o)) bad_argument(i, o, "a str");
      Py_ssize_t n;
      const char* text = PyUnicode_AsUTF8AndSize(o, &n);
      if (!text) nb::raise_python_error();
      a = Arg(intern(std::string_view(text, n)));
      return;
    }
    case ParamKind::dtype: {
      DType t;
      if (!dtype_from(o, &t)) {
        bad_argument(i, o, "a dtype such as ferrule.float32");
      }
      a = Arg(t);
      return;
    }
    case ParamKind::device: {
      Device d;
      if (!device_from(o, &d)) bad_argument(i, o, "a device such as \"cpu\"");
      a = Arg(d);
      return;
    }
    case ParamKind::scalar:
      ran_python_ = true;
      if (is_tensor(o) && impl_of(o)->ndim == 0) {
        nb::object value = own(item(tensor_of(o)));
        number_from(value.ptr(), &a);
      } else if (!number_from(o, &a)) {
        bad_argument(i, o, "a number");
      }
      return;
  }
}

// What decides the width of a Python complex number at argument `i`: float64
// where another argument is a tensor of 64-bit parts or the dtype of such.
DType Binder::dtype_beside(int i) const {
  for (int k = 0; k < entry_.info->schema.n; ++k) {
    PyObject* o = objects_[k];
    if (k == i || !o) continue;
    DType t = DType::f32;
    if (is_tensor(o)) {
      t = impl_of(o)->dtype;
    } else if (entry_.info->schema.params[k].kind == ParamKind::dtype) {
      dtype_from(o, &t);
    }
    if (to_real(t) == DType::f64) return t;
  }
  return DType::f32;
}

// Steps of optimizers hand their numbers to the kernel as they are.
bool Binder::take_run_number(int i, PyObject* o) {
  const OpInfo& info = *entry_.info;
  if (info.schema.nouts > 0 || !info.cpu || !is_run_number(o)) return false;
  args_.v[i] = run_number(o);
  return true;
}

void Binder::convert_operand(int i, PyObject* o) {
  const Param& p = entry_.info->schema.params[i];
  Arg& a = args_.v[i];
  if (is_tensor(o)) {  // a subclass
    a = Arg(impl_of(o));
    return;
  }
  bool number_fits = p.kind == ParamKind::operand;
  if (number_fits) {
    if (PyFloat_CheckExact(o)) {
      a = Arg(PyFloat_AS_DOUBLE(o));
      return;
    }
    ran_python_ = true;
    if (take_run_number(i, o) || number_from(o, &a)) return;
    Tensor t;
    if (complex_from(o, dtype_beside(i), &t)) {
      made_.push_back(std::move(t));
      a = Arg(made_.back());
      return;
    }
  }
  if (is_numpy_array(o)) {
    ran_python_ = true;
    Tensor t = copy_of_array(o);
    // Obvious is: nothing is promoted.
    for (int k = 0; k < entry_.info->schema.n; ++k) {
      PyObject* other = k == i ? nullptr : objects_[k];
      if (number_fits && other && is_tensor(other) &&
          impl_of(other)->dtype == t.dtype()) {
        made_.push_back(std::move(t));
        a = Arg(made_.back());
        return;
      }
    }
    fail_signature(concat("'", p.name, "' is a NumPy array of ", t.dtype(),
                          "; convert it with ferrule.tensor(array), and to the "
                          "dtype you mean with dtype=..."));
  }
  bad_argument(i, o, number_fits ? "a Tensor or a number" : "a Tensor");
}

void Binder::convert_tensors(int i, PyObject* o) {
  if (is_tensor(o) || is_numpy_array(o) || PyUnicode_Check(o) ||
      !(PyList_Check(o) || PyTuple_Check(o) || PyIter_Check(o) ||
        PySequence_Check(o))) {
    bad_argument(i, o, "a list or tuple of Tensors");
  }
  nb::object fast = own(PySequence_Fast(o, "expected a sequence of Tensors"));
  Py_ssize_t n = PySequence_Fast_GET_SIZE(fast.ptr());
  std::vector<Tensor> list;
  list.reserve(n);
  for (Py_ssize_t k = 0; k < n; ++k) {
    PyObject* entry = PySequence_Fast_GET_ITEM(fast.ptr(), k);
    if (is_tensor(entry)) {
      list.push_back(tensor_of(entry));
    } else if (entry == Py_None) {
      list.emplace_back();
    } else {
      fail_signature(concat("'", entry_.info->schema.params[i].name, "[", k,
                            "]' must be a Tensor, got ",
                            Py_TYPE(entry)->tp_name));
    }
  }
  if (lists_.empty()) lists_.reserve(8);
  lists_.push_back(std::move(list));
  args_.v[i] = Arg(lists_.back());
}

Int Binder::to_int(int i, PyObject* o) {
  if (PyLong_CheckExact(o)) {
    int overflow;
    int64_t v = PyLong_AsLongLongAndOverflow(o, &overflow);
    if (!overflow) return v;
  }
  ran_python_ = true;
  Int v;
  if (!int_from(o, &v)) bad_argument(i, o, "an int");
  return v;
}

void Binder::push_ints(int i, PyObject* const* items, Py_ssize_t n) {
  const Param& p = entry_.info->schema.params[i];
  if (nints_ + n > kMaxInts) {
    fail<ShapeError>("[", entry_.op->name, "] '", p.name, "' has ", n,
                     " entries; a tensor has at most ", kMaxRank,
                     " dimensions");
  }
  Int* first = ints_.v + nints_;
  for (Py_ssize_t k = 0; k < n; ++k) new (first + k) Int(to_int(i, items[k]));
  nints_ += static_cast<int>(n);
  args_.v[i] = Arg(std::span<const Int>(first, n));
}

void Binder::convert_ints(int i, PyObject* o) {
  if (PyTuple_Check(o)) {
    return push_ints(i, &PyTuple_GET_ITEM(o, 0), PyTuple_GET_SIZE(o));
  }
  const char* want = entry_.info->schema.params[i].fixed_len
                         ? "an int or a pair of ints"
                         : "an int or a tuple of ints";
  if (PyIndex_Check(o) && !PyBool_Check(o) &&
      !(is_tensor(o) && impl_of(o)->ndim > 0)) {
    return push_ints(i, &o, 1);
  }
  if (!PySequence_Check(o) || PyUnicode_Check(o)) bad_argument(i, o, want);
  ran_python_ = true;  // also: a list may change while its entries convert
  nb::object tuple = own(PySequence_Tuple(o));
  push_ints(i, &PyTuple_GET_ITEM(tuple.ptr(), 0),
            PyTuple_GET_SIZE(tuple.ptr()));
}

// --- running

bool Binder::is_large() const {
  int64_t work = 0;
  const int n = entry_.info->schema.n;
  for (int i = 0; i < n; ++i) {
    const Arg& a = args_.v[i];
    if (a.tag == ArgTag::tensor) {
      work += a.tensor->numel;
    } else if (a.tag == ArgTag::tensors) {
      for (int k = 0; k < a.n; ++k)
        work += a.tensors[k] ? a.tensors[k]->numel : 0;
    } else if (a.tag == ArgTag::ints && entry_.creates) {
      int64_t size = 1;
      for (int k = 0; k < a.n; ++k)
        size = apply(IntOp::mul, size, a.ints[k].value);
      work += size;
    }
  }
  return work > kLargeWork;
}

// Symbolic work is small, and capturing may call back into Python.
bool Binder::is_symbolic() const {
  for (int i = 0; i < entry_.info->schema.n; ++i) {
    const Arg& a = args_.v[i];
    if (a.tag == ArgTag::tensor && a.tensor->device.is_graph()) return true;
    if (a.tag == ArgTag::tensors) {
      for (int k = 0; k < a.n; ++k) {
        if (a.tensors[k] && a.tensors[k]->device.is_graph()) return true;
      }
    }
    if (a.tag == ArgTag::ints) {
      for (int k = 0; k < a.n; ++k) {
        if (a.ints[k].symbolic()) return true;
      }
    }
  }
  return false;
}

// Lets other Python threads run; they may drop or replace the tensors
// meanwhile.
Results Binder::run_released() {
  const int n = entry_.info->schema.n;
  std::vector<Tensor> held;
  for (int i = 0; i < n; ++i) {
    if (args_.v[i].is_tensor()) {
      held.push_back(Tensor::share(args_.v[i].tensor));
    }
  }
  note_site_before_release();
  GilRelease released(true);
  return entry_.op->call(args_.v, n, entry_.in_place || in_place_);
}

PyObject* Binder::finish(Results r) {
  if (r.n != 1) [[unlikely]]
    return wrap_results(std::move(r), entry_.results);
  if (requires_grad_) [[unlikely]]
    set_requires_grad(r[0], true);
  // What is written in place comes back as the object that was given.
  PyObject* target = objects_[0];
  if (target && is_tensor(target) && impl_of(target) == r.v[0].impl()) {
    return Py_NewRef(target);
  }
  return wrap(std::move(r.v[0]));
}

PyObject* Binder::call() {
  if (generator_) [[unlikely]] {
    UseGenerator use(*std::exchange(generator_, nullptr));
    return call();
  }
  if (entry_.mistake) [[unlikely]] {
    const bool warned =
        args_.v[0].is_tensor() &&
        warn_of(*entry_.mistake, Tensor::share(args_.v[0].tensor));
    Results r = is_large() && !is_symbolic()
                    ? run_released()
                    : entry_.op->call(args_.v, entry_.info->schema.n);
    if (!warned) warn_of_loss(*entry_.mistake, r[0]);
    return finish(std::move(r));
  }
  if (is_large() && !is_symbolic()) [[unlikely]]
    return finish(run_released());
  return finish(entry_.op->call(args_.v, entry_.info->schema.n,
                                entry_.in_place || in_place_));
}

}  // namespace ferrule::python
