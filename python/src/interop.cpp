// Memory shared with NumPy and others: the buffer protocol, arrays, and what
// NumPy's functions make of tensors. DLPack stands in dlpack.cpp.
#include "binding.h"
#include "ferrule/autograd.h"
#include "ferrule/ops.h"

namespace ferrule::python {
namespace {

// --- buffer protocol

// NumPy's int64 is the C type `long` where that has 64 bits.
constexpr const char* kInt64 = sizeof(long) == 8 ? "l" : "q";

const char* format_of(DType t) {
  static const char* const kCodes[kDTypeCount] = {
      "?", "B", "b", "h", "i", kInt64, "e", nullptr, "f", "d", "Zf", "Zd"};
  return kCodes[static_cast<int>(t)];
}

// Keeps what a consumer looks into, whatever the tensor becomes meanwhile.
struct Exported {
  Tensor tensor;
  Py_ssize_t shape[kMaxRank], strides[kMaxRank];
};

// Why the memory of `t` cannot be given away, or nullptr.
const char* obstacle(const Tensor& t) {
  if (t.device().is_graph()) return "it is symbolic";
  if (!t.device().is_cpu()) {
    return "it is not in CPU memory; move it with .to(\"cpu\")";
  }
  if (t.requires_grad()) {
    return "it requires grad and the history would be lost; write "
           ".detach().numpy()";
  }
  if (!format_of(t.dtype())) {
    return "NumPy has no bfloat16; convert with .float()";
  }
  return nullptr;
}

}  // namespace

int get_buffer(PyObject* self, Py_buffer* view, int flags) {
  return guarded_int([&] {
    view->obj = nullptr;
    Tensor t = tensor_of(self);
    const char* why = obstacle(t);
    if (!why && !t.is_contiguous() &&
        (flags & PyBUF_STRIDES) != PyBUF_STRIDES) {
      why = "it is not contiguous";
    }
    bool read_only = t->storage && t->storage->read_only;
    if (!why && read_only && (flags & PyBUF_WRITABLE) == PyBUF_WRITABLE) {
      why = "its memory is read-only";
    }
    bool wants_c = (flags & PyBUF_C_CONTIGUOUS) == PyBUF_C_CONTIGUOUS ||
                   (flags & PyBUF_ANY_CONTIGUOUS) == PyBUF_ANY_CONTIGUOUS;
    if (!why && !t.is_contiguous() && wants_c) why = "it is not contiguous";
    if (why) {
      PyErr_Format(PyExc_BufferError, "the tensor has no buffer: %s", why);
      return -1;
    }
    auto exported = std::make_unique<Exported>();
    for (int i = 0; i < t.ndim(); ++i) {
      exported->shape[i] = t.size(i);
      exported->strides[i] = t.strides()[i] * itemsize(t.dtype());
    }
    static char nothing;
    view->buf = t.numel() ? t->bytes() : &nothing;
    view->len = t->nbytes();
    view->itemsize = itemsize(t.dtype());
    view->readonly = read_only;
    view->ndim = t.ndim();
    view->format = flags & PyBUF_FORMAT
                       ? const_cast<char*>(format_of(t.dtype()))
                       : nullptr;
    view->shape = flags & PyBUF_ND ? exported->shape : nullptr;
    view->strides =
        (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? exported->strides : nullptr;
    view->suboffsets = nullptr;
    exported->tensor = std::move(t);
    view->internal = exported.release();
    view->obj = Py_NewRef(self);
    return 0;
  });
}

void release_buffer(PyObject*, Py_buffer* view) {
  delete static_cast<Exported*>(view->internal);
}

PyObject* to_numpy(const Tensor& t) {
  if (const char* why = obstacle(t)) {
    if (t.requires_grad() && t.device().is_cpu()) {
      fail<AutogradError>("[numpy] a tensor of shape ", t.shape(),
                          " cannot become an array: ", why);
    }
    fail<RuntimeError>("[numpy] a tensor of shape ", t.shape(),
                       " cannot become an array: ", why);
  }
  // An object of its own: the array lives on when the tensor is replaced.
  nb::object holder = nb::steal(wrap(t));
  nb::module_ numpy = nb::module_::import_("numpy");
  nb::object view = own(PyMemoryView_FromObject(holder.ptr()));
  return numpy.attr("asarray")(view).release().ptr();
}

namespace {

// --- NumPy

PyObject* numpy_method(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"force", nullptr};
  int force = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$p:numpy",
                                   const_cast<char**>(names), &force)) {
    return nullptr;
  }
  return guarded([&] {
    Tensor t = tensor_of(self);
    if (!force) return to_numpy(t);
    return to_numpy(on_host(t.detach(), "numpy"));
  });
}

PyObject* array_method(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"dtype", "copy", nullptr};
  PyObject *dtype = Py_None, *copy = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:__array__",
                                   const_cast<char**>(names), &dtype, &copy)) {
    return nullptr;
  }
  return guarded([&] {
    nb::object array = nb::steal(to_numpy(tensor_of(self)));
    bool cast = dtype != Py_None;
    if (cast) {
      nb::object same = own(PyObject_RichCompare(
          nb::object(array.attr("dtype")).ptr(), dtype, Py_EQ));
      cast = PyObject_IsTrue(same.ptr()) == 0;
    }
    if (cast && copy == Py_False) {
      fail<ValueError>("[__array__] a conversion needs a copy");
    }
    if (cast) return array.attr("astype")(nb::handle(dtype)).release().ptr();
    if (copy == Py_True) return array.attr("copy")().release().ptr();
    return array.release().ptr();
  });
}

// `o` with arrays in place of tensors, also within tuples, lists and dicts.
nb::object with_arrays(nb::handle o) {
  if (is_tensor(o.ptr())) return nb::steal(to_numpy(tensor_of(o.ptr())));
  if (nb::isinstance<nb::dict>(o)) {
    nb::dict d;
    for (auto [key, value] : nb::borrow<nb::dict>(o)) {
      d[key] = with_arrays(value);
    }
    return d;
  }
  bool tuple = PyTuple_CheckExact(o.ptr());
  if (!tuple && !PyList_CheckExact(o.ptr())) return nb::borrow(o);
  nb::list l;
  for (nb::handle entry : o) l.append(with_arrays(entry));
  return tuple ? nb::object(nb::tuple(l)) : nb::object(l);
}

// NumPy's functions take tensors for arrays and return arrays. (Its operators
// leave tensors to Tensor's, by __array_priority__; its ufuncs convert their
// arguments themselves, by the buffer protocol.)
PyObject* array_function(PyObject*, PyObject* args) {
  PyObject *function, *types, *positional, *keywords;
  if (!PyArg_ParseTuple(args, "OOO!O!:__array_function__", &function, &types,
                        &PyTuple_Type, &positional, &PyDict_Type, &keywords)) {
    return nullptr;
  }
  return guarded([&] {
    nb::object plain = with_arrays(positional), named = with_arrays(keywords);
    return own(PyObject_Call(function, plain.ptr(), named.ptr()))
        .release()
        .ptr();
  });
}

// --- the Array API, and the bytes

PyObject* array_namespace(PyObject*, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"api_version", nullptr};
  PyObject* version = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$O:__array_namespace__",
                                   const_cast<char**>(names), &version)) {
    return nullptr;
  }
  return guarded([&] {
    nb::module_ api = nb::module_::import_("ferrule.array_api");
    if (version != Py_None &&
        !nb::cast<bool>(api.attr("_supports")(nb::handle(version)))) {
      fail<ValueError>(
          "[__array_namespace__] no such version of the standard: ",
          nb::str(nb::handle(version)).c_str(), "; this is ",
          nb::str(api.attr("__array_api_version__")).c_str());
    }
    return api.release().ptr();
  });
}

// bytes(x): without it, an integer of one element would count zeros.
PyObject* bytes_method(PyObject* self, PyObject*) {
  return guarded([&] {
    nb::object view = own(PyMemoryView_FromObject(self));
    return view.attr("tobytes")().release().ptr();
  });
}

}  // namespace

PyMethodDef kInteropMethods[] = {
    {"numpy", as_function(numpy_method), METH_VARARGS | METH_KEYWORDS,
     "numpy($self, *, force=False)\n--\n\n"
     "The tensor as a NumPy array that shares its memory.\n\n"
     "Args:\n"
     "    force: detach the tensor and copy it to the CPU, where needed.\n\n"
     "Raises:\n"
     "    AutogradError: the tensor requires grad; detach() it first.\n\n"
     "Example:\n"
     "    >>> import ferrule as fe\n"
     "    >>> fe.tensor([1, 2]).numpy()\n"
     "    array([1, 2])\n"},
    {"__array__", as_function(array_method), METH_VARARGS | METH_KEYWORDS,
     nullptr},
    {"__array_function__", array_function, METH_VARARGS, nullptr},
    {"__array_namespace__", as_function(array_namespace),
     METH_VARARGS | METH_KEYWORDS,
     "__array_namespace__($self, /, *, api_version=None)\n--\n\n"
     "The module ferrule.array_api: the functions of the Array API standard."},
    {"__bytes__", bytes_method, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace ferrule::python
