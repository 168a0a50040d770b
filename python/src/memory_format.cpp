// Methods of Tensor that look at or change the memory format. The formats are
// members of ferrule.memory_format; their names are all that is read here.
#include "binding.h"
#include "ferrule/ops.h"
#include "runtime/autograd/layout.h"

namespace ferrule::python {
namespace {

enum class Format { preserve, contiguous, channels_last };

// None is `fallback`. A format for tensors of another rank is an error, unless
// `fits` is given, which tells it then.
Format format_from(PyObject* o, const Tensor& t, Format fallback,
                   const char* who, bool* fits = nullptr) {
  if (!o || o == Py_None) return fallback;
  nb::object name = nb::steal(PyObject_GetAttrString(o, "name"));
  if (!name.is_valid() || !PyUnicode_Check(name.ptr())) {
    PyErr_Clear();
    type_error("[", who,
               "] memory_format must be one of ferrule's, e.g. "
               "ferrule.channels_last, got ",
               Py_TYPE(o)->tp_name);
  }
  const std::string_view text = PyUnicode_AsUTF8(name.ptr());
  if (text == "preserve_format") return Format::preserve;
  if (text == "contiguous_format") return Format::contiguous;
  const int rank = text == "channels_last_3d" ? 5 : 4;
  if (fits) {
    *fits = t.ndim() == rank;
  } else if (t.ndim() != rank) {
    fail<ShapeError>("[", who, "] ", text, " is for tensors of ", rank,
                     " dimensions, got shape ", t.shape());
  }
  return Format::channels_last;
}

// The only argument of these methods.
PyObject* format_argument(PyObject* args, PyObject* kwargs, const char* who) {
  static const char* names[] = {"memory_format", nullptr};
  PyObject* format = Py_None;
  const std::string spec = concat("|O:", who);
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, spec.c_str(),
                                   const_cast<char**>(names), &format)) {
    nb::raise_python_error();
  }
  return format;
}

Tensor in_format(const Tensor& t, Format f) {
  if (f == Format::channels_last) return to_channels_last(t);
  return f == Format::preserve || t.is_contiguous() ? t : op::clone(t);
}

PyObject* contiguous(PyObject* self, PyObject* args, PyObject* kwargs) {
  return guarded([&] {
    const Tensor t = tensor_of(self);
    PyObject* o = format_argument(args, kwargs, "contiguous");
    const Tensor y =
        in_format(t, format_from(o, t, Format::contiguous, "contiguous"));
    return y.same(t) ? Py_NewRef(self) : wrap(y);
  });
}

PyObject* is_contiguous(PyObject* self, PyObject* args, PyObject* kwargs) {
  return guarded([&] {
    const Tensor t = tensor_of(self);
    PyObject* o = format_argument(args, kwargs, "is_contiguous");
    bool fits = true;
    const Format f =
        format_from(o, t, Format::contiguous, "is_contiguous", &fits);
    return PyBool_FromLong(f == Format::channels_last
                               ? fits && is_channels_last(*t.impl())
                               : t.is_contiguous());
  });
}

}  // namespace

Tensor to_memory_format(const Tensor& t, PyObject* format) {
  return in_format(t, format_from(format, t, Format::preserve, "to"));
}

PyMethodDef kFormatMethods[] = {
    {"contiguous", as_function(contiguous), METH_VARARGS | METH_KEYWORDS,
     "contiguous($self, memory_format=None)\n--\n\n"
     "The tensor itself if it is dense in that format, else a copy that is.\n\n"
     "Args:\n"
     "    memory_format: None is row-major; ferrule.channels_last for "
     "images.\n\n"
     "Raises:\n"
     "    ShapeError: the format is for another number of dimensions.\n\n"
     "Example:\n"
     "    >>> import ferrule as fe\n"
     "    >>> fe.zeros((2, 3)).T.contiguous().stride()\n"
     "    (2, 1)\n\n"
     "Source: torch.Tensor.contiguous.\n"},
    {"is_contiguous", as_function(is_contiguous), METH_VARARGS | METH_KEYWORDS,
     "is_contiguous($self, memory_format=None)\n--\n\n"
     "Whether the elements lie densely in that format; None is row-major."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace ferrule::python
