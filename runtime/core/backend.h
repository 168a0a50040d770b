// Devices other than the CPU and the graph: plugins behind the C ABI of
// include/ferrule/device_abi.h, and the copies between all of them.
#pragma once

#include "ferrule/device_abi.h"
#include "ferrule/op.h"

namespace ferrule {

// Registers a plugin; its devices are then "NAME:0" .. Throws DeviceError when
// the ABI version does not match or the name is taken.
DeviceKind register_backend(const fer_device_api* api);
const fer_device_api* backend_of(Device device);  // throws DeviceError if none

// Bytes between any two devices. Blocks until host memory may be reused.
void copy_bytes(void* dst, Device dst_device, const void* src,
                Device src_device, int64_t nbytes);
void synchronize(Device device);

Storage* new_backend_storage(int64_t nbytes, Device device);

// Looks the op's kernel up in the plugin's table; false: there is none.
bool run_backend_kernel(OpCall& call);

}  // namespace ferrule
