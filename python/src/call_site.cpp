// Where the Python program is, cheaply enough to be noted for every recorded
// op: the innermost frame that is not Ferrule's own, as a number of 64 bits.
//
// A frame's code object and instruction are two loads, and only messages need
// the line that they make. Code objects are kept in a bounded table; a number
// names an entry, its generation and the instruction, so that one whose entry
// was given to other code is "unknown" and never wrong.
#include "call_site.h"

#include <frameobject.h>
#include <nanobind/stl/string.h>

#include <cstring>
#include <string_view>

#include "ferrule/autograd.h"
#include "ferrule/capture.h"

// The layout of frames is known for these versions. For others places are noted
// through the public API, which costs more: only of writes, and of recorded ops
// in anomaly mode.
#if PY_VERSION_HEX >= 0x030b0000 && PY_VERSION_HEX < 0x030c0000
#define Py_BUILD_CORE 1
#include <internal/pycore_frame.h>
#endif

namespace ferrule::python {
namespace {

// The GIL guards the table.
constexpr int kSlotBits = 12;
struct Slot {
  PyCodeObject* code = nullptr;  // owned
  uint32_t generation = 0;
  bool ours = false;
};
Slot slots[1 << kSlotBits];

// Directory of the package, with a slash at the end.
const std::string& package_directory() {
  static const std::string* const path = [] {
    nb::object file = nb::module_::import_("ferrule").attr("__file__");
    std::string s = nb::cast<std::string>(nb::str(file));
    return new std::string(s.substr(0, s.find_last_of("/\\") + 1));
  }();
  return *path;
}

// Runs our context managers, and theirs: the line of the `with` is below.
const std::string& contextlib_file() {
  static const std::string* const path = new std::string(nb::cast<std::string>(
      nb::str(nb::module_::import_("contextlib").attr("__file__"))));
  return *path;
}

[[gnu::noinline]] void take_slot(Slot& s, PyCodeObject* code) {
  // Nothing that an op does may fail for want of a line number.
  try {
    nb::object file =
        nb::getattr(reinterpret_cast<PyObject*>(code), "co_filename");
    const std::string_view path = nb::cast<const char*>(file);
    s.ours = path.starts_with(package_directory()) || path == contextlib_file();
  } catch (...) {
    PyErr_Clear();
    s.ours = false;
  }
  Py_INCREF(code);
  Py_XDECREF(reinterpret_cast<PyObject*>(std::exchange(s.code, code)));
  s.generation = (s.generation + 1) & 0xfffff;
}

// 0 for Ferrule's own code.
inline uint64_t site_of(PyCodeObject* code, int instruction) {
  const auto bits = reinterpret_cast<uintptr_t>(code);
  const uint32_t at = (bits * 0x9E3779B97F4A7C15u) >> (64 - kSlotBits);
  Slot& s = slots[at];
  if (s.code != code) [[unlikely]]
    take_slot(s, code);
  if (s.ours) return 0;
  return uint64_t{static_cast<uint32_t>(instruction)} << 32 |
         uint64_t{s.generation} << kSlotBits | at;
}

// What a thread noted before it gave the GIL away.
thread_local uint64_t before_release = 0;

#ifdef Py_BUILD_CORE
constexpr bool kFast = true;
uint64_t current_site(PyThreadState* thread) {
  for (auto* f = thread->cframe->current_frame; f; f = f->previous) {
    const int lasti =
        static_cast<int>(_PyInterpreterFrame_LASTI(f) * sizeof(_Py_CODEUNIT));
    if (uint64_t site = site_of(f->f_code, lasti)) return site;
  }
  return 0;
}
#else
constexpr bool kFast = false;
uint64_t current_site(PyThreadState* thread) {
  nb::object frame =
      nb::steal(reinterpret_cast<PyObject*>(PyThreadState_GetFrame(thread)));
  while (frame.is_valid()) {
    auto* f = reinterpret_cast<PyFrameObject*>(frame.ptr());
    nb::object code =
        nb::steal(reinterpret_cast<PyObject*>(PyFrame_GetCode(f)));
#if PY_VERSION_HEX >= 0x030b0000
    const int lasti = PyFrame_GetLasti(f);
#else
    const int lasti = f->f_lasti * static_cast<int>(sizeof(_Py_CODEUNIT));
#endif
    if (uint64_t site =
            site_of(reinterpret_cast<PyCodeObject*>(code.ptr()), lasti)) {
      return site;
    }
    frame = nb::steal(reinterpret_cast<PyObject*>(PyFrame_GetBack(f)));
  }
  return 0;
}
#endif

// State of this thread if it holds the GIL. Another thread's, which is what the
// interpreter calls the current one then, must not be looked at.
PyThreadState* own_thread() {
  return PyGILState_Check() ? PyThreadState_Get() : nullptr;
}

uint64_t written() {
  PyThreadState* thread = own_thread();
  return thread ? current_site(thread) : before_release;
}

uint64_t recorded() {
  if (!kFast && !anomaly_mode().on) return 0;
  return written();
}

std::string describe(uint64_t site) {
  if (!Py_IsInitialized()) return "";
  GilAcquire gil;
  const Slot& s = slots[site & ((1 << kSlotBits) - 1)];
  if (!s.code || s.generation != (site >> kSlotBits & 0xfffff)) return "";
  try {
    nb::object code = nb::borrow(reinterpret_cast<PyObject*>(s.code));
    const int line = PyCode_Addr2Line(s.code, static_cast<int>(site >> 32));
    nb::object file = code.attr("co_filename");
    nb::object text = nb::module_::import_("linecache")
                          .attr("getline")(file, line)
                          .attr("strip")();
    std::string place = concat(nb::cast<const char*>(file), ":", line);
    if (nb::len(text)) place += concat(": ", nb::cast<const char*>(text));
    return place;
  } catch (...) {
    PyErr_Clear();
    return "";
  }
}

// "model.py:12"
std::string line_of(uint64_t site) {
  if (!own_thread()) return "";
  const Slot& s = slots[site & ((1 << kSlotBits) - 1)];
  if (!s.code || s.generation != (site >> kSlotBits & 0xfffff)) return "";
  try {
    nb::object code = nb::borrow(reinterpret_cast<PyObject*>(s.code));
    std::string file = nb::cast<std::string>(code.attr("co_filename"));
    file.erase(0, file.find_last_of("/\\") + 1);
    return concat(file, ":",
                  PyCode_Addr2Line(s.code, static_cast<int>(site >> 32)));
  } catch (...) {
    PyErr_Clear();
    return "";
  }
}

std::string stack() {
  GilAcquire gil;
  try {
    nb::object lines = nb::module_::import_("traceback").attr("format_stack")();
    return nb::cast<std::string>(nb::str("").attr("join")(lines));
  } catch (...) {
    PyErr_Clear();
    return "";
  }
}

}  // namespace

void note_site_before_release() {
  PyThreadState* thread = own_thread();
  if (thread) before_release = current_site(thread);
}

std::string users_line() {
  const uint64_t site = written();
  return site ? describe(site) : "";
}

void bind_call_sites() {
  set_call_sites({recorded, written, describe, stack});
  Capture::line_of = line_of;
}

}  // namespace ferrule::python
