// Generators of random numbers from Python.
#include "random_py.h"

#include <cstring>
#include <memory>
#include <random>
#include <string>

#include "ferrule/capture.h"
#include "ferrule/random.h"

namespace ferrule::python {
namespace {

// A generator of its own, or the process's.
struct PyGenerator {
  std::shared_ptr<Generator> generator;
};

// As PyTorch: negative seeds stand for those above 2^63.
uint64_t seed_from(nb::handle seed) {
  nb::object index = own(PyNumber_Index(seed.ptr()));
  const nb::object low = own(PyLong_FromLongLong(INT64_MIN));
  const nb::object high = own(PyLong_FromUnsignedLongLong(UINT64_MAX));
  if (index < low || index > high) {
    fail<ValueError>("[manual_seed] a seed is in -2^63..2^64 - 1, got ",
                     nb::str(index).c_str());
  }
  return PyLong_AsUnsignedLongLongMask(index.ptr());
}

// The state as a tensor of 16 bytes, little-endian: seed, offset.
nb::object state_tensor(RngState s) {
  Tensor t = Tensor::empty({16}, DType::u8);
  auto* bytes = t.data<uint8_t>();
  for (int i = 0; i < 8; ++i) {
    bytes[i] = static_cast<uint8_t>(s.seed >> (8 * i));
    bytes[8 + i] = static_cast<uint8_t>(s.offset >> (8 * i));
  }
  return nb::steal(wrap(t));
}

RngState state_from(nb::handle o) {
  if (!is_tensor(o.ptr())) {
    type_error("[set_state] expected the tensor that get_state gave, got ",
               Py_TYPE(o.ptr())->tp_name);
  }
  Tensor t = on_host(tensor_of(o.ptr()), "set_state");
  if (t.dtype() != DType::u8 || t.ndim() != 1 || t.numel() != 16) {
    fail<ValueError>("[set_state] a state is uint8 (16,), got ", t.dtype(), " ",
                     t.shape());
  }
  RngState s;
  for (int i = 0; i < 8; ++i) {
    const int64_t step = t.strides()[0];
    s.seed |= uint64_t{t.data<uint8_t>()[i * step]} << (8 * i);
    s.offset |= uint64_t{t.data<uint8_t>()[(8 + i) * step]} << (8 * i);
  }
  return s;
}

// What the random functions of this thread draw from, in place of the
// process's.
struct Used {
  std::shared_ptr<Generator> generator;
  UseGenerator scope{*generator};
};
thread_local std::unique_ptr<Used> used;

// Makes a Generator that, or None: the process's; returns the one before.
nb::object swap_generator(nb::object next) {
  nb::object before =
      used ? nb::cast(PyGenerator{used->generator}) : nb::none();
  used.reset();
  if (!next.is_none()) {
    used = std::make_unique<Used>(nb::cast<PyGenerator&>(next).generator);
  }
  return before;
}

uint64_t fresh_seed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

}  // namespace

Generator* generator_from(PyObject* o) {
  if (o == Py_None) return nullptr;
  if (!nb::isinstance<PyGenerator>(o)) {
    type_error("generator must be a ferrule.Generator or None, got ",
               Py_TYPE(o)->tp_name);
  }
  Generator* g = nb::cast<PyGenerator&>(nb::handle(o)).generator.get();
  const Capture* capture = Capture::current();
  if (capture && g != &default_generator()) {
    if (capture->purpose() == Capture::For::replay) {
      fail<RuntimeError>(
          "[vmap] generator= cannot be given within a function that is mapped: "
          "the numbers are drawn afterwards, for all samples; draw them "
          "before, "
          "as an argument, or leave it out and seed with fe.manual_seed");
    }
    fail<RuntimeError>("a captured program draws from its own random state: "
                       "leave generator= out");
  }
  return g;
}

void bind_generators(nb::module_& m) {
  auto c = nb::class_<PyGenerator>(
      m, "Generator",
      "Generator(device=\"cpu\")\n--\n\n"
      "A source of random numbers of its own, for the keyword `generator` of "
      "the random\nfunctions.\n\n"
      "The same seed gives the same numbers, on every device and with any "
      "number of\nthreads: each call takes one tick of a counter. Safe to use "
      "from several threads.\n\n"
      "Example:\n"
      "    >>> import ferrule as fe\n"
      "    >>> g = fe.Generator().manual_seed(1)\n"
      "    >>> a = fe.rand(3, generator=g)\n"
      "    >>> g.manual_seed(1)\n"
      "    <ferrule.Generator seed=1 offset=0>\n"
      "    >>> fe.rand(3, generator=g).tolist() == a.tolist()\n"
      "    True\n\n"
      "Source: Philox4x32-10, see rand.\n");
  c.def(
       "__init__",
       [](PyGenerator* self, nb::object device) {
         Device d;
         if (!device_from(device.ptr(), &d)) {
           type_error("[Generator] device must be a device such as \"cpu\"");
         }
         if (!d.is_cpu()) {
           fail<DeviceError>("[Generator] its state is on the CPU; it serves "
                             "every device, leave device out");
         }
         new (self) PyGenerator{std::make_shared<Generator>()};
       },
       nb::arg("device") = "cpu")
      .def(
          "manual_seed",
          [](nb::object self, nb::object seed) {
            nb::cast<PyGenerator&>(self).generator->manual_seed(
                seed_from(seed));
            return self;
          },
          nb::arg("seed"), "Starts anew with a seed; returns the generator.")
      .def(
          "seed",
          [](PyGenerator& g) {
            const uint64_t s = fresh_seed();
            g.generator->manual_seed(s);
            return s;
          },
          "Starts anew with a seed from the system, which is returned.")
      .def(
          "initial_seed",
          [](PyGenerator& g) { return g.generator->state().seed; },
          "The seed that it was started with.")
      .def(
          "get_state",
          [](PyGenerator& g) { return state_tensor(g.generator->state()); },
          "The state, a uint8 tensor of 16 bytes, to be saved with a model.")
      .def(
          "set_state",
          [](PyGenerator& g, nb::object state) {
            g.generator->set_state(state_from(state));
          },
          nb::arg("state"), "Takes a state that get_state gave.")
      .def(
          "clone_state",
          [](PyGenerator& g) {
            return PyGenerator{
                std::make_shared<Generator>(g.generator->state())};
          },
          "Another generator in the same state.")
      .def_prop_ro(
          "device", [](PyGenerator&) { return nb::steal(wrap_device({})); },
          "Where the state is: always the CPU.")
      .def("__getstate__",
           [](PyGenerator& g) {
             RngState s = g.generator->state();
             return nb::make_tuple(s.seed, s.offset);
           })
      .def("__setstate__",
           [](PyGenerator& g, nb::tuple s) {
             new (&g) PyGenerator{std::make_shared<Generator>(
                 RngState{nb::cast<uint64_t>(s[0]), nb::cast<uint64_t>(s[1])})};
           })
      .def("__repr__", [](PyGenerator& g) {
        RngState s = g.generator->state();
        return nb::str(
            concat("<ferrule.Generator seed=", std::to_string(s.seed),
                   " offset=", std::to_string(s.offset), ">")
                .c_str());
      });
  c.attr("__module__") = "ferrule";
  m.attr("default_generator") = nb::cast(PyGenerator{
      std::shared_ptr<Generator>(&default_generator(), [](Generator*) {})});
  m.def("swap_generator", swap_generator, nb::arg("next").none());
  m.def("rng_state", [] {
    RngState s = rng_state();
    return nb::make_tuple(s.seed, s.offset);
  });
  m.def("set_rng",
        [](uint64_t seed, uint64_t offset) { set_rng_state({seed, offset}); });
}

}  // namespace ferrule::python
