// A small device plugin for tests: own memory, and a worker thread that runs
// copies and kernels asynchronously, in order of the stream. It is also the
// worked example of include/ferrule/device_abi.h.
#pragma once

#include "ferrule/device_abi.h"

namespace ferrule::test {

// The plugin's table; device name "mock", two devices.
const fer_device_api* mock_device();

// What it did so far.
struct MockCounts {
  int allocs, frees, kernels, copies;
};
MockCounts mock_counts();

}  // namespace ferrule::test
