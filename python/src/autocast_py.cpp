// Autocast's state from Python; `ferrule.amp` makes regions of it.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string_view.h>

#include "binding.h"
#include "ferrule/autocast.h"

namespace ferrule::python {
namespace {

// A kind of device, such as "cpu": without a number.
DeviceKind kind_of(std::string_view type) {
  const Device device = parse_device(type);
  if (device.is_graph() || type.find(':') != type.npos) {
    fail<DeviceError>("[autocast] device_type must be a kind of device, such "
                      "as \"cpu\", got '",
                      type, "'");
  }
  return device.kind;
}

}  // namespace

void bind_autocast(nb::module_& m) {
  m.def(
      "is_autocast_enabled",
      [](std::optional<std::string_view> type) {
        if (type) return autocast_enabled(kind_of(*type));
        for (int kind = 0; kind < kMaxDeviceKinds; ++kind) {
          if (autocast_enabled(static_cast<DeviceKind>(kind))) return true;
        }
        return false;
      },
      nb::arg("device_type").none() = nb::none(),
      "Whether operands are cast, for a kind of device or, by default, for "
      "any.");
  m.def(
      "set_autocast_enabled",
      [](std::string_view type, bool on) {
        set_autocast_enabled(kind_of(type), on);
      },
      nb::arg("device_type"), nb::arg("enabled"),
      "Switches autocast on this thread; the context manager `autocast` also "
      "switches it back.");
  m.def(
      "get_autocast_dtype",
      [](std::string_view type) {
        return own(wrap_dtype(autocast_dtype(kind_of(type))));
      },
      nb::arg("device_type"),
      "The 16-bit dtype that autocast uses for a kind of device.");
  m.def(
      "set_autocast_dtype",
      [](std::string_view type, nb::handle dtype) {
        DType t;
        if (!dtype_from(dtype.ptr(), &t)) {
          type_error("[set_autocast_dtype] dtype must be a dtype, got ",
                     Py_TYPE(dtype.ptr())->tp_name);
        }
        set_autocast_dtype(kind_of(type), t);
      },
      nb::arg("device_type"), nb::arg("dtype"),
      "Sets the dtype that autocast uses: bfloat16 or float16.");
  m.def("is_autocast_cache_enabled", &autocast_cache_enabled,
        "Whether autocast casts a parameter once only within a region.");
  m.def("set_autocast_cache_enabled", &set_autocast_cache_enabled,
        nb::arg("enabled"),
        "Switches the cache of parameters that autocast has cast.");
  m.def("clear_autocast_cache", &clear_autocast_cache,
        "Forgets the parameters that autocast has cast.");
  m.def("autocast_increment_nesting", &enter_autocast_region,
        "Counts a region of autocast that begins; returns their number.");
  m.def("autocast_decrement_nesting", &leave_autocast_region,
        "Counts a region of autocast that ends; returns their number.");
}

}  // namespace ferrule::python
