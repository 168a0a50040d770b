// Gradients from Python: backward and grad, hooks, custom functions.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "binding.h"
#include "casters.h"
#include "ferrule/autograd.h"

namespace ferrule::python {
namespace {

// --- backward and grad

// One tensor or several; `none_ok`: None gives an empty tensor, if one at all.
std::vector<Tensor> tensors_from(nb::handle o, const char* who,
                                 const char* what, bool none_ok = false) {
  std::vector<Tensor> list;
  if (o.is_none()) return list;
  auto add = [&](PyObject* t) {
    if (is_tensor(t)) {
      list.push_back(tensor_of(t));
    } else if (none_ok && t == Py_None) {
      list.emplace_back();
    } else {
      type_error("[", who, "] ", what,
                 " must be a Tensor or a sequence of "
                 "them, got ",
                 Py_TYPE(t)->tp_name);
    }
  };
  if (is_tensor(o.ptr())) {
    add(o.ptr());
    return list;
  }
  if (PyUnicode_Check(o.ptr())) add(o.ptr());
  nb::object items = nb::steal(PySequence_Tuple(o.ptr()));
  if (!items.is_valid()) {
    PyErr_Clear();
    add(o.ptr());
  }
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(items.ptr()); ++i) {
    add(PyTuple_GET_ITEM(items.ptr(), i));
  }
  return list;
}

bool flag_or(nb::handle o, bool otherwise) {
  return o.is_none() ? otherwise : PyObject_IsTrue(o.ptr()) == 1;
}

void check_pairs(const std::vector<Tensor>& outputs,
                 const std::vector<Tensor>& grads, const char* who) {
  if (!grads.empty() && grads.size() != outputs.size()) {
    fail<ValueError>("[", who, "] ", grads.size(), " gradients for ",
                     outputs.size(), " outputs");
  }
}

void run_backward(nb::handle tensors, nb::handle grad_tensors,
                  nb::handle retain_graph, bool create_graph,
                  nb::handle inputs) {
  const char* who = "backward";
  auto outputs = tensors_from(tensors, who, "tensors");
  auto grads = tensors_from(grad_tensors, who, "gradient", true);
  auto leaves = tensors_from(inputs, who, "inputs");
  if (outputs.empty()) fail<ValueError>("[backward] no tensors were given");
  if (!inputs.is_none() && leaves.empty()) {
    fail<ValueError>("[backward] inputs is empty; leave it out to reach all "
                     "leaves");
  }
  check_pairs(outputs, grads, who);
  if (grads.empty()) grads.resize(outputs.size());
  BackwardOptions options;
  options.create_graph = create_graph;
  options.retain_graph = flag_or(retain_graph, create_graph);
  GilRelease released(true);
  backward(outputs, grads, leaves, options);
}

nb::tuple run_grad(nb::handle outputs, nb::handle inputs,
                   nb::handle grad_outputs, nb::handle retain_graph,
                   bool create_graph, bool allow_unused,
                   bool materialize_grads) {
  const char* who = "grad";
  auto ys = tensors_from(outputs, who, "outputs");
  auto xs = tensors_from(inputs, who, "inputs");
  auto grads = tensors_from(grad_outputs, who, "grad_outputs", true);
  if (ys.empty()) fail<ValueError>("[grad] no outputs were given");
  if (xs.empty()) fail<ValueError>("[grad] no inputs were given");
  check_pairs(ys, grads, who);
  if (grads.empty()) grads.resize(ys.size());
  BackwardOptions options;
  options.create_graph = create_graph;
  options.retain_graph = flag_or(retain_graph, create_graph);
  options.allow_unused = allow_unused || materialize_grads;
  std::vector<Tensor> result;
  {
    GilRelease released(true);
    result = grad(ys, xs, grads, options);
  }
  nb::object tuple = own(PyTuple_New(result.size()));
  for (size_t i = 0; i < result.size(); ++i) {
    Tensor g = std::move(result[i]);
    if (!g && materialize_grads) {
      const OpDef* zeros = find_op("zeros_like");
      g = (*zeros)(xs[i]);
    }
    PyTuple_SET_ITEM(tuple.ptr(), i, wrap_or_none(std::move(g)));
  }
  return nb::cast<nb::tuple>(tuple);
}

PyObject* backward_method(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"gradient", "retain_graph", "create_graph",
                                "inputs", nullptr};
  PyObject *gradient = Py_None, *retain = Py_None, *inputs = Py_None;
  int create = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OOpO:backward",
                                   const_cast<char**>(names), &gradient,
                                   &retain, &create, &inputs)) {
    return nullptr;
  }
  return guarded([&]() -> PyObject* {
    run_backward(self, gradient, retain, create != 0, inputs);
    Py_RETURN_NONE;
  });
}

// --- hooks

// Takes the hook back; shares no ownership of the Python tensor object.
struct HookHandle {
  RemoveHook take_back;

  void remove() {
    if (RemoveHook f = std::exchange(take_back, nullptr)) f();
  }
};

PyObject* make_handle(RemoveHook f) {
  return nb::cast(HookHandle{std::move(f)}).release().ptr();
}

void check_hook(PyObject* hook, const char* who) {
  if (!PyCallable_Check(hook)) {
    type_error("[", who, "] expected a function, got ", Py_TYPE(hook)->tp_name);
  }
}

PyObject* register_hook(PyObject* self, PyObject* hook) {
  return guarded([&] {
    check_hook(hook, "register_hook");
    Kept kept(hook);
    return make_handle(
        add_tensor_hook(tensor_of(self), [kept](const Tensor& grad) -> Tensor {
          GilAcquire gil;
          nb::object g = nb::steal(wrap(grad));
          nb::object r = own(PyObject_CallOneArg(kept.get(), g.ptr()));
          if (r.is_none()) return Tensor();
          if (!is_tensor(r.ptr())) {
            type_error(
                "[register_hook] a hook returns None or the new gradient,"
                " got ",
                Py_TYPE(r.ptr())->tp_name);
          }
          return tensor_of(r.ptr());
        }));
  });
}

PyObject* register_post_hook(PyObject* self, PyObject* hook) {
  return guarded([&] {
    check_hook(hook, "register_post_accumulate_grad_hook");
    Kept kept(hook);
    // The hook is to see the very object it was registered on.
    Kept weak(own(PyWeakref_NewRef(self, nullptr)).ptr());
    return make_handle(add_post_accumulate_hook(
        tensor_of(self), [kept, weak](const Tensor& leaf) {
          GilAcquire gil;
          nb::object o = own(PyObject_CallNoArgs(weak.get()));
          if (!is_tensor(o.ptr())) o = nb::steal(wrap(leaf));
          own(PyObject_CallOneArg(kept.get(), o.ptr()));
        }));
  });
}

PyObject* retain_grad_method(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* {
    retain_grad(tensor_of(self));
    Py_RETURN_NONE;
  });
}

// --- custom functions

std::vector<Tensor> call_rule(PyObject* rule, const std::string& name,
                              const std::vector<Tensor>& grads) {
  GilAcquire gil;
  nb::object args = own(PyTuple_New(grads.size()));
  for (size_t i = 0; i < grads.size(); ++i) {
    PyTuple_SET_ITEM(args.ptr(), i, wrap_or_none(grads[i]));
  }
  nb::object r = own(PyObject_CallObject(rule, args.ptr()));
  if (r.is_none()) return std::vector<Tensor>(1);
  return tensors_from(r, name.c_str(), "gradients from backward", true);
}

nb::tuple autograd_function(const std::string& name, nb::handle inputs,
                            nb::handle outputs, nb::callable rule,
                            nb::handle release, uint64_t written) {
  auto ins = tensors_from(inputs, name.c_str(), "inputs");
  auto outs = tensors_from(outputs, name.c_str(), "outputs");
  Kept kept(rule.ptr());
  CustomFunction function{name.c_str(),
                          [kept, name](const std::vector<Tensor>& grads) {
                            return call_rule(kept.get(), name, grads);
                          }};
  if (!release.is_none()) {
    Kept dropper(release.ptr());
    function.release = [dropper] {
      GilAcquire gil;
      own(PyObject_CallNoArgs(dropper.get()));
    };
  }
  function.written = written;
  std::vector<Tensor> result = custom_function(std::move(function), ins, outs);
  nb::object tuple = own(PyTuple_New(result.size()));
  for (size_t i = 0; i < result.size(); ++i) {
    PyTuple_SET_ITEM(tuple.ptr(), i, wrap(std::move(result[i])));
  }
  return nb::cast<nb::tuple>(tuple);
}

}  // namespace

PyMethodDef kAutogradMethods[] = {
    {"backward", as_function(backward_method), METH_VARARGS | METH_KEYWORDS,
     "backward($self, gradient=None, retain_graph=None, create_graph=False, "
     "inputs=None)\n--\n\n"
     "Adds the gradients of this tensor to the `grad` of the leaves it was "
     "made "
     "from.\n\n"
     "Args:\n"
     "    gradient: gradient in this tensor, of its shape; 1 for one element.\n"
     "    retain_graph: keep what a second backward needs.\n"
     "    create_graph: record the gradients, for higher derivatives.\n"
     "    inputs: the leaves to reach; default: all.\n\n"
     "Raises:\n"
     "    AutogradError: nothing was recorded, or it was used up already.\n\n"
     "Example:\n"
     "    >>> import ferrule as fe\n"
     "    >>> x = fe.tensor([2.0, 3.0], requires_grad=True)\n"
     "    >>> (x * x).sum().backward()\n"
     "    >>> x.grad.tolist()\n"
     "    [4.0, 6.0]\n"},
    {"register_hook", register_hook, METH_O,
     "register_hook($self, hook)\n--\n\n"
     "Calls hook(grad) when the gradient in this tensor is known; what it "
     "returns,\nunless None, replaces it. Returns a handle with remove()."},
    {"register_post_accumulate_grad_hook", register_post_hook, METH_O,
     "register_post_accumulate_grad_hook($self, hook)\n--\n\n"
     "Calls hook(tensor) after a gradient was added to this leaf's `grad`. "
     "Returns a\nhandle with remove()."},
    {"retain_grad", retain_grad_method, METH_NOARGS,
     "retain_grad($self)\n--\n\n"
     "Keeps the gradient in `grad` though this is no leaf."},
    {nullptr, nullptr, 0, nullptr},
};

void bind_autograd(nb::module_& m) {
  auto handle = nb::class_<HookHandle>(
      m, "HookHandle", "Takes a hook of a tensor back: handle.remove().");
  handle.def("remove", &HookHandle::remove, "Removes the hook.")
      .def("__enter__", [](nb::handle self) { return nb::borrow(self); })
      .def("__exit__", [](HookHandle& self, nb::args) { self.remove(); });
  handle.attr("__module__") = "ferrule";

  m.def("backward", run_backward, nb::arg("tensors"),
        nb::arg("grad_tensors").none() = nb::none(),
        nb::arg("retain_graph").none() = nb::none(),
        nb::arg("create_graph") = false, nb::arg("inputs").none() = nb::none(),
        "Adds the gradients of several tensors to the leaves; see "
        "Tensor.backward.");
  m.def("grad", run_grad, nb::arg("outputs"), nb::arg("inputs"),
        nb::arg("grad_outputs").none() = nb::none(),
        nb::arg("retain_graph").none() = nb::none(),
        nb::arg("create_graph") = false, nb::arg("allow_unused") = false,
        nb::arg("materialize_grads") = false,
        "Gradients of `outputs` in `inputs`, as a tuple; `grad` stays as it "
        "is.");
  m.def("autograd_function", autograd_function, nb::arg("name"),
        nb::arg("inputs"), nb::arg("outputs"), nb::arg("backward"),
        nb::arg("release").none() = nb::none(), nb::arg("written") = 0,
        "Gives `outputs`, computed without recording, the history of a custom "
        "function:\nbackward(*grads) returns one gradient (or None) an input; "
        "release() drops\nwhat it saved. Returns new tensors, but for outputs "
        "whose bit of `written` is\nset: inputs that were written in place.");
  m.def(
      "depends_on_other_leaves",
      [](nb::handle outputs, nb::handle leaves) {
        const char* who = "depends_on_other_leaves";
        return depends_on_other_leaves(tensors_from(outputs, who, "outputs"),
                                       tensors_from(leaves, who, "leaves"));
      },
      nb::arg("outputs"), nb::arg("leaves"),
      "Do the outputs depend on a leaf that is none of `leaves`?");
  m.def(
      "note_gradients_used",
      [](nb::handle leaves) {
        return note_gradients_used(
            tensors_from(leaves, "note_gradients_used", "leaves"));
      },
      nb::arg("leaves"),
      "An optimizer tells that it used the gradients of these leaves. True "
      "when "
      "a backward\npass had added to one that was used before and not reset "
      "since.");
}

}  // namespace ferrule::python
