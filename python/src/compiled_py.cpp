// What fe.compile builds on: graphs that run on the program's own tensors, and
// quick answers to "is all that was captured still so?".
#include "casters.h"

#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>

#include "binding.h"
#include "ferrule/autocast.h"
#include "ferrule/autograd.h"
#include "ferrule/compiled.h"
#include "ferrule/ops.h"
#include "runtime/autograd/node.h"
#include "runtime/graph/passes/passes.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace ferrule::python {
namespace {

// --- numbers of a run

PyObject* number_type = nullptr;  // lives as long as the process

// --- what must still be so

bool same_entries(PyObject* list, PyObject* tuple) {
  const Py_ssize_t n = PyTuple_GET_SIZE(tuple);
  if (PyList_GET_SIZE(list) != n) return false;
  for (Py_ssize_t i = 0; i < n; ++i) {
    if (PyList_GET_ITEM(list, i) != PyTuple_GET_ITEM(tuple, i)) return false;
  }
  return true;
}

bool same_values(PyObject* dict, PyObject* tuple) {
  if (PyDict_GET_SIZE(dict) != PyTuple_GET_SIZE(tuple)) return false;
  Py_ssize_t at = 0, i = 0;
  PyObject *key, *value;
  while (PyDict_Next(dict, &at, &key, &value)) {
    if (value != PyTuple_GET_ITEM(tuple, i++)) return false;
  }
  return true;
}

// A link is (container, key, value): of a list or dict with key None, `value`
// is a tuple of all entries; a cell has no key.
bool holds(PyObject* link) {
  PyObject* container = PyTuple_GET_ITEM(link, 0);
  PyObject* key = PyTuple_GET_ITEM(link, 1);
  PyObject* value = PyTuple_GET_ITEM(link, 2);
  if (PyCell_Check(container)) return PyCell_GET(container) == value;
  if (PyList_Check(container)) return same_entries(container, value);
  if (key == Py_None) return same_values(container, value);
  PyObject* found = PyDict_GetItemWithError(container, key);
  if (!found && PyErr_Occurred()) nb::raise_python_error();
  return found == value;
}

// Index of the first link that does not hold; -1: all do.
Py_ssize_t first_broken(nb::tuple links) {
  const Py_ssize_t n = PyTuple_GET_SIZE(links.ptr());
  for (Py_ssize_t i = 0; i < n; ++i) {
    if (!holds(PyTuple_GET_ITEM(links.ptr(), i))) return i;
  }
  return -1;
}

// What was captured of some tensors: that each Python object is the same
// tensor, with the same hooks; and, where the graph depends on it, whether it
// has a gradient.
class TensorStates {
 public:
  explicit TensorStates(const std::vector<Tensor>& tensors) {
    for (const Tensor& t : tensors) {
      states_.push_back(
          {t, t->requires_grad, count_hooks(t.impl()), false, false});
    }
  }
  void watch_grad(size_t i) {
    State& s = states_[i];
    s.watched = true;
    s.has_grad = static_cast<bool>(grad_of(s.tensor));
  }
  bool hold(nb::tuple objects) const {
    for (size_t i = 0; i < states_.size(); ++i) {
      const State& s = states_[i];
      PyObject* o = PyTuple_GET_ITEM(objects.ptr(), static_cast<Py_ssize_t>(i));
      const TensorImpl* t = impl_of(o);
      if (t != s.tensor.impl() || t->requires_grad != s.requires_grad) {
        return false;
      }
      if (s.requires_grad && count_hooks(t) != s.hooks) return false;
      if (s.watched && s.has_grad != static_cast<bool>(grad_of(s.tensor))) {
        return false;
      }
    }
    return true;
  }

 private:
  struct State {
    Tensor tensor;
    bool requires_grad;
    size_t hooks;
    bool watched, has_grad;
  };
  std::vector<State> states_;
};

// --- signatures of calls

template <class T>
void put(std::string& key, T value) {
  key.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// (modes and tensors as bytes, tensors, the other leaves).
nb::tuple call_key(nb::handle leaves) {
  nb::object list = own(PySequence_Fast(leaves.ptr(), "expected a sequence"));
  std::string key;
  const bool casts = autocast_enabled(DeviceKind::cpu);
  put(key,
      static_cast<char>(grad_enabled() + 2 * inference_mode() + 4 * casts));
  if (casts) put(key, autocast_dtype(DeviceKind::cpu));
  nb::list tensors, others;
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(list.ptr());
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* o = PySequence_Fast_GET_ITEM(list.ptr(), i);
    if (!is_tensor(o)) {
      put(key, 'o');
      others.append(nb::handle(o));
      continue;
    }
    const TensorImpl& t = *impl_of(o);
    put(key, 't');
    put(key, t.dtype);
    put(key, static_cast<char>(t.requires_grad || t.history));
    put(key, t.ndim);
    for (int64_t d : t.sizes()) put(key, d);
    tensors.append(nb::handle(o));
  }
  return nb::make_tuple(nb::bytes(key.data(), key.size()), nb::tuple(tensors),
                        nb::tuple(others));
}

std::vector<Tensor> run(CompiledGraph& g, const std::vector<Tensor>& inputs,
                        const std::vector<double>& numbers) {
  nb::gil_scoped_release unlocked;
  std::vector<Tensor> dense;
  for (const Tensor& t : inputs) {
    if (!t.device().is_cpu()) {
      fail<DeviceError>("[compile] an argument is on ", t.device(),
                        "; compiled functions run on the cpu");
    }
    const NoGrad no_history;
    dense.push_back(t.is_contiguous() ? t : op::clone(t));
  }
  return g.run(dense, numbers);
}

}  // namespace

bool is_run_number(PyObject* o) {
  return reinterpret_cast<PyObject*>(Py_TYPE(o)) == number_type;
}

Arg run_number(PyObject* o) {
  Arg a(nb::cast<double>(nb::handle(o).attr("value")));
  a.n = nb::cast<int32_t>(nb::handle(o).attr("index"));
  return a;
}

void bind_compiled(nb::module_& m) {
  nb::class_<CompiledGraph>(
      m, "CompiledGraph", "A captured function, run on the program's tensors.")
      .def(
          "__init__",
          [](CompiledGraph* self, std::shared_ptr<Program> program,
             const std::string& key, size_t shared, const std::string& passes) {
            new (self) CompiledGraph(std::move(program), key, shared, passes);
          })
      .def("run", &run)
      .def("uses_input", &CompiledGraph::uses_input)
      .def("steps", &CompiledGraph::steps)
      .def("arena_bytes",
           [](CompiledGraph& g) { return g.cost().arena_bytes; });
  nb::class_<TensorStates>(m, "TensorStates",
                           "What was captured of some tensors.")
      .def(nb::init<const std::vector<Tensor>&>())
      .def("watch_grad", &TensorStates::watch_grad)
      .def("hold", &TensorStates::hold);
  m.def(
      "same_tensor", [](const Tensor& a, const Tensor& b) { return a.same(b); },
      "Whether two objects are one tensor.");
  m.def("first_broken", &first_broken, "Index of a link that does not hold.");
  m.def(
      "is_used_up",
      [](const Tensor& t) {
        const auto* node = dynamic_cast<const OpNode*>(
            static_cast<const TapeNode*>(t->history));
        return node && node->released;
      },
      "Whether a backward pass has freed what the tensor's history saved.");
  m.def(
      "check_passes", [](const std::string& passes) { chosen_passes(passes); },
      "Throws for a name that is none of a pass.");
  m.def("call_key", &call_key, "Signature of a call, its tensors, the rest.");
  m.def(
      "copy_hooks",
      [](const Tensor& from, const Tensor& to) { copy_hooks(from, to); },
      "Another leaf gets the same hooks.");
  m.def(
      "set_number_type",
      [](nb::handle type) { number_type = Py_NewRef(type.ptr()); },
      "The class of numbers that may change from run to run.");
}

}  // namespace ferrule::python
