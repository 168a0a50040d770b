// Exception classes, and the way of C++ errors into Python.
#include "binding.h"
#include "runtime/autograd/compose.h"

namespace ferrule::python {
namespace {

constexpr int kKinds = static_cast<int>(ErrorKind::memory) + 1;
PyObject* classes[kKinds];
PyObject* warning_class;

struct ErrorClass {
  ErrorKind kind;
  const char* name;
  PyObject** also;  // builtin class that it is, too
  const char* doc;
};

const ErrorClass kClasses[] = {
    {ErrorKind::shape, "ShapeError", &PyExc_ValueError,
     "Shapes do not fit together, or do not fit an op."},
    {ErrorKind::dtype, "DTypeError", &PyExc_TypeError,
     "An element type does not fit an op."},
    {ErrorKind::value, "InvalidValue", &PyExc_ValueError,
     "An argument has a value that an op does not take."},
    {ErrorKind::index, "IndexOutOfRange", &PyExc_IndexError,
     "An index or a dimension is out of range."},
    {ErrorKind::device, "DeviceError", nullptr,
     "A device is missing, or tensors are on different ones."},
    {ErrorKind::autograd, "AutogradError", nullptr,
     "A gradient cannot be recorded or computed."},
    {ErrorKind::format, "FormatError", nullptr,
     "A file is damaged, unknown, or too new."},
    {ErrorKind::memory, "OutOfMemory", &PyExc_MemoryError,
     "Memory is used up; the message says how much was asked for."},
};

PyObject* new_class(nb::module_& m, const char* name, PyObject* bases,
                    const char* doc) {
  std::string full = concat("ferrule.", name);
  nb::object c =
      own(PyErr_NewExceptionWithDoc(full.c_str(), doc, bases, nullptr));
  m.attr(name) = c;
  return c.release().ptr();  // lives as long as the process
}

}  // namespace

void set_python_error() noexcept {
  try {
    throw;
  } catch (nb::python_error& e) {
    e.restore();
  } catch (const Error& e) {
    PyErr_SetString(classes[static_cast<int>(e.kind())], e.what());
  } catch (const nb::builtin_exception& e) {
    PyErr_SetString(e.type() == nb::exception_type::type_error
                        ? PyExc_TypeError
                        : PyExc_RuntimeError,
                    e.what());
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& e) {
    PyErr_SetString(PyExc_RuntimeError, e.what());
  }
}

void throw_type_error(const std::string& message) {
  PyErr_SetString(PyExc_TypeError, message.c_str());
  nb::raise_python_error();
}

void register_errors(nb::module_& m) {
  m.def(
      "error_of_part",
      [](const char* name, const char* message) {
        return nb::str(error_of_part(name, message).c_str());
      },
      nb::arg("name"), nb::arg("message"),
      "The message of an op's error where the op is a part of `name`.");
  warning_class =
      new_class(m, "FerruleWarning", PyExc_UserWarning,
                "What Ferrule warns of; `warnings.simplefilter(\"ignore\", "
                "ferrule.FerruleWarning)`\nsilences it.");
  PyObject* base = new_class(m, "FerruleError", PyExc_RuntimeError,
                             "Base class of the errors that Ferrule raises.");
  classes[static_cast<int>(ErrorKind::runtime)] = base;
  for (const ErrorClass& c : kClasses) {
    nb::object bases =
        c.also ? own(PyTuple_Pack(2, base, *c.also)) : nb::borrow(base);
    classes[static_cast<int>(c.kind)] =
        new_class(m, c.name, bases.ptr(), c.doc);
  }
  nb::register_exception_translator([](const std::exception_ptr& p, void*) {
    try {
      std::rethrow_exception(p);
    } catch (const Error&) {
      set_python_error();
    }
  });
}

namespace {

bool is_ours(PyFrameObject* frame) {
  const nb::object globals = nb::steal(PyFrame_GetGlobals(frame));
  const nb::object name = globals.attr("get")("__name__", "");
  return nb::isinstance<nb::str>(name) &&
         nb::cast<std::string>(name.attr("partition")(".")[nb::int_(0)]) ==
             "ferrule";
}

// Of the innermost frame outside of this package, counted from 1.
int users_level() {
  int level = 1;
  nb::object frame = nb::steal(
      reinterpret_cast<PyObject*>(PyThreadState_GetFrame(PyThreadState_Get())));
  while (frame) {
    auto* f = reinterpret_cast<PyFrameObject*>(frame.ptr());
    if (!is_ours(f)) return level;
    ++level;
    frame = nb::steal(reinterpret_cast<PyObject*>(PyFrame_GetBack(f)));
  }
  return 1;
}

}  // namespace

void warn(const std::string& message) {
  check(PyErr_WarnEx(warning_class, message.c_str(), users_level()));
}

std::string python_location() {
  PyFrameObject* frame = PyThreadState_GetFrame(PyThreadState_Get());
  if (!frame) return "";
  nb::object holder = nb::steal(reinterpret_cast<PyObject*>(frame));
  nb::object code =
      nb::steal(reinterpret_cast<PyObject*>(PyFrame_GetCode(frame)));
  nb::object file = nb::getattr(code, "co_filename");
  return concat(nb::cast<const char*>(file), ":", PyFrame_GetLineNumber(frame));
}

Kept::Kept(PyObject* o) : block_(new Block) {
  Py_INCREF(o);
  block_->object = o;
}

Kept::Kept(const Kept& o) : block_(o.block_) { ++block_->refs; }

Kept::~Kept() {
  if (--block_->refs != 0) return;
  if (Py_IsInitialized()) {
    PyGILState_STATE state = PyGILState_Ensure();
    Py_DECREF(block_->object);
    PyGILState_Release(state);
  }
  delete block_;
}

}  // namespace ferrule::python
