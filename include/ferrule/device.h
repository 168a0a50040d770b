// Names of devices. The machinery behind them is in runtime/core/backend.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ferrule {

// Kinds below `plugin` are built in; a plugin is given the next free number
// when it registers (include/ferrule/device_abi.h).
enum class DeviceKind : uint8_t { cpu = 0, graph = 1, plugin = 2 };
inline constexpr int kMaxDeviceKinds = 8;

struct Device {
  DeviceKind kind = DeviceKind::cpu;
  uint8_t index = 0;

  constexpr bool operator==(const Device&) const = default;
  constexpr bool is_cpu() const { return kind == DeviceKind::cpu; }
  constexpr bool is_graph() const { return kind == DeviceKind::graph; }
};

// "cpu", "cuda:0", ...
std::string to_string(Device device);

// Throws DeviceError that lists the devices present when there is none such.
Device parse_device(std::string_view text);

}  // namespace ferrule
