// Recording modes from Python: no_grad and its kin, anomaly mode, hooks on what
// is saved.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "binding.h"
#include "casters.h"
#include "ferrule/autograd.h"

namespace ferrule::python {
namespace {

enum class Mode : uint8_t { no_grad, enable_grad, inference };

// A context manager, also a decorator. May be entered several times.
struct ModeContext {
  Mode mode = Mode::no_grad;
  bool on = true;  // inference_mode(False) does nothing but record again
  std::vector<std::pair<bool, bool>> before;  // grad, inference

  void enter() {
    before.emplace_back(grad_enabled(), inference_mode());
    if (mode == Mode::inference) {
      set_inference_mode(on);
    } else {
      set_grad_enabled(mode == Mode::enable_grad);
    }
  }
  void exit() {
    if (before.empty())
      fail<RuntimeError>("a mode is left that was not entered");
    auto [grad, inference] = before.back();
    before.pop_back();
    if (mode == Mode::inference) set_inference_mode(inference);
    set_grad_enabled(grad);
  }
};
struct NoGradContext : ModeContext {};
struct EnableGradContext : ModeContext {};
struct InferenceContext : ModeContext {};
// Switches at once; as a context manager it switches back at the end.
struct SetGradContext {
  bool before;
  bool mode;
};

// Every call of the function enters a context of its own, which `make` gives.
nb::object decorate(nb::object make, nb::handle function) {
  if (!PyCallable_Check(function.ptr())) {
    type_error("a recording mode decorates functions, got ",
               Py_TYPE(function.ptr())->tp_name);
  }
  return nb::module_::import_("ferrule.autograd._modes")
      .attr("decorated")(make, function);
}

template <class T>
void bind_mode(nb::module_& m, const char* name, Mode mode, const char* doc) {
  nb::class_<T> c(m, name, doc);
  auto fresh = [mode](bool on) {
    T context;
    context.mode = mode;
    context.on = on;
    return nb::cast(std::move(context));
  };
  auto maker = [fresh](bool on) -> nb::object {
    return nb::cpp_function([fresh, on] { return fresh(on); });
  };
  // Without parentheses, @no_grad gives the decorated function at once.
  if (mode == Mode::inference) {
    c.def(nb::new_([fresh, maker](nb::object on) -> nb::object {
            if (PyBool_Check(on.ptr())) return fresh(on.is(nb::bool_(true)));
            return decorate(maker(true), on);
          }),
          nb::arg("mode") = true);
  } else {
    c.def(nb::new_([fresh, maker](nb::object function) -> nb::object {
            if (function.is_none()) return fresh(true);
            return decorate(maker(true), function);
          }),
          nb::arg("function").none() = nb::none());
  }
  c.def("__enter__",
        [](nb::handle self) {
          nb::cast<T&>(self).enter();
          return nb::borrow(self);
        })
      .def("__exit__", [](T& self, nb::args) { self.exit(); })
      .def(
          "__call__",
          [maker](const T& self, nb::handle function) {
            return decorate(maker(self.on), function);
          },
          nb::arg("function"));
  c.attr("__module__") = "ferrule";
}

void bind_set_grad_enabled(nb::module_& m) {
  auto set = nb::class_<SetGradContext>(
      m, "set_grad_enabled",
      "Switches recording on or off at once; as a context manager it switches "
      "back at\nthe end, and as a decorator it holds inside of the function "
      "only.");
  set.def(
         "__init__",
         [](SetGradContext* self, bool mode) {
           new (self) SetGradContext{grad_enabled(), mode};
           set_grad_enabled(mode);
         },
         nb::arg("mode"))
      .def("__enter__",
           [](nb::handle self) {
             set_grad_enabled(nb::cast<SetGradContext&>(self).mode);
             return nb::borrow(self);
           })
      .def("__exit__", [](SetGradContext& self,
                          nb::args) { set_grad_enabled(self.before); })
      .def(
          "__call__",
          [](SetGradContext& self, nb::handle function) {
            set_grad_enabled(self.before);
            const bool mode = self.mode;
            return decorate(nb::cpp_function([mode] {
                              auto c = SetGradContext{grad_enabled(), mode};
                              return nb::cast(c);
                            }),
                            function);
          },
          nb::arg("function"));
  set.attr("__module__") = "ferrule";
}

// --- hooks on what is saved

struct PySaved final : SavedTensor {
  Kept packed, unpacker;
  PySaved(Kept value, Kept hook)
      : packed(std::move(value)), unpacker(std::move(hook)) {}

  Tensor unpack() override {
    GilAcquire gil;
    nb::object r = own(PyObject_CallOneArg(unpacker.get(), packed.get()));
    if (!is_tensor(r.ptr())) {
      type_error("[saved_tensors_hooks] the unpack hook must return a Tensor, "
                 "got ",
                 Py_TYPE(r.ptr())->tp_name);
    }
    return tensor_of(r.ptr());
  }
};

void push_hooks(nb::callable pack, nb::callable unpack) {
  Kept packer(pack.ptr()), unpacker(unpack.ptr());
  push_saved_tensor_hook([packer, unpacker](const Tensor& t) {
    GilAcquire gil;
    nb::object given = nb::steal(wrap(t));
    nb::object packed = own(PyObject_CallOneArg(packer.get(), given.ptr()));
    return std::unique_ptr<SavedTensor>(
        new PySaved(Kept(packed.ptr()), unpacker));
  });
}

// For functions written in Python, which keep their tensors themselves.
struct Packed {
  std::shared_ptr<SavedTensor> saved;
};

}  // namespace

void bind_modes(nb::module_& m) {
  bind_mode<NoGradContext>(m, "no_grad", Mode::no_grad,
                           "Context manager and decorator: nothing is recorded "
                           "inside.\n\n"
                           "Example:\n"
                           "    >>> import ferrule as fe\n"
                           "    >>> w = fe.ones(2, requires_grad=True)\n"
                           "    >>> with fe.no_grad():\n"
                           "    ...     y = w * 2\n"
                           "    >>> y.requires_grad\n"
                           "    False\n");
  bind_mode<EnableGradContext>(m, "enable_grad", Mode::enable_grad,
                               "Context manager and decorator: recording is on "
                               "inside, also within no_grad.");
  bind_mode<InferenceContext>(m, "inference_mode", Mode::inference,
                              "Context manager and decorator: nothing is "
                              "recorded inside, and the results\nmay never be "
                              "used in a recorded computation.");
  bind_set_grad_enabled(m);
  m.def("is_grad_enabled", &grad_enabled, "Whether operations are recorded.");
  m.def("is_inference_mode_enabled", &inference_mode,
        "Whether inference_mode is on.");

  m.def("anomaly_mode", [] {
    AnomalyMode a = anomaly_mode();
    return nb::make_tuple(a.on, a.check_nan);
  });
  m.def("set_anomaly_mode",
        [](bool on, bool check_nan) { set_anomaly_mode({on, check_nan}); });

  m.def("push_saved_tensor_hooks", push_hooks);
  m.def("pop_saved_tensor_hooks", &pop_saved_tensor_hook);
  nb::class_<Packed>(m, "PackedTensor").def("unpack", [](const Packed& p) {
    return nb::steal(wrap(p.saved->unpack()));
  });
  m.def("pack_saved_tensor", [](nb::handle t) -> nb::object {
    const PackHook* top = saved_tensor_hook();
    if (!top) return nb::none();
    const PackHook pack = *top;
    NoGrad no_grad;
    std::shared_ptr<SavedTensor> saved = pack(tensor_of(t.ptr()).detach());
    return nb::cast(Packed{std::move(saved)});
  });
}

}  // namespace ferrule::python
