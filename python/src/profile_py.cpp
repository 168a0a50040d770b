// The profiler's log from Python; ferrule/profiler makes tables and traces.
#include "runtime/core/profile.h"

#include <nanobind/stl/string.h>

#include <optional>

#include "binding.h"
#include "ferrule/op.h"

namespace ferrule::python {
namespace {

nb::tuple described(const ProfileLog& log, uint32_t at, uint32_t n) {
  nb::list all;
  for (uint32_t i = at; i < at + n; ++i) {
    const ProfiledTensor& t = log.tensors[i];
    nb::list shape;
    for (int d = 0; d < t.ndim; ++d) shape.append(t.shape[d]);
    all.append(nb::make_tuple(std::string(name(t.dtype)), nb::tuple(shape)));
  }
  return nb::tuple(all);
}

// As tuples, in the order of ferrule.profiler's Event. `parent` counts from
// event number `first`.
nb::list events(const ProfileLog& log, int64_t first) {
  static constexpr const char* kKinds[] = {"op", "backward", "user"};
  nb::list all;
  for (const ProfileEvent& e : log.events) {
    std::string name = e.name;
    if (e.in_place) name += '_';
    all.append(nb::make_tuple(name, kKinds[static_cast<int>(e.kind)], e.thread,
                              e.parent - first, e.begin, e.end, e.memory_before,
                              e.memory_after,
                              described(log, e.inputs_at, e.inputs),
                              described(log, e.outputs_at, e.outputs)));
  }
  return all;
}

// The shapes of an event's inputs or outputs, as `described` gives them.
std::vector<Dims> shapes_of(const nb::sequence& tensors) {
  std::vector<Dims> shapes;
  for (nb::handle t : tensors) {
    Dims shape;
    for (nb::handle size : nb::cast<nb::sequence>(t[1])) {
      shape.push(nb::cast<int64_t>(size));
    }
    shapes.push_back(shape);
  }
  return shapes;
}

int64_t macs_of(const std::string& name, const nb::sequence& inputs,
                const nb::sequence& outputs) {
  const OpDef* op = find_op(name);
  if (!op || !op->macs) return 0;
  return op->macs(shapes_of(inputs), shapes_of(outputs));
}

// `with` of a span that the user names.
class PySpan {
 public:
  explicit PySpan(std::string name) : name_(std::move(name)) {}
  void enter() { span_.emplace(name_, EventKind::user); }
  void exit() { span_.reset(); }

 private:
  std::string name_;
  std::optional<ProfileSpan> span_;
};

}  // namespace

void bind_profile(nb::module_& m) {
  m.def("is_profiling", &profiling, "Is a profile being recorded?");
  m.def("macs_of", &macs_of, nb::arg("name"), nb::arg("inputs"),
        nb::arg("outputs"),
        "Multiplications followed by an addition of an op's call; see "
        "OpDef::macs.");
  m.def("start_profile", &start_profile);
  m.def("stop_profile", [] { return events(stop_profile(), 0); });
  m.def("profile_size", &profile_size);
  m.def(
      "profile_since",
      [](size_t first) {
        return events(profile_since(first), static_cast<int64_t>(first));
      },
      nb::arg("first"));
  nb::class_<PySpan>(m, "ProfileSpan")
      .def(nb::init<std::string>(), nb::arg("name"))
      .def("__enter__", &PySpan::enter)
      .def("__exit__", [](PySpan& span, nb::args) { span.exit(); });
}

}  // namespace ferrule::python
