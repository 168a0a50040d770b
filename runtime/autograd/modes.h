// Thread-local modes that `run` looks at: one byte each, no destructor.
#pragma once

#include <cstdint>

#include "runtime/core/thread_local.h"

namespace ferrule {

class Capture;
struct SavedHooks;
class Generator;

struct Modes {
  bool grad = true;
  bool inference = false;
  bool decompose = false;  // tests: prefer decompositions to kernels
  bool anomaly = false;
  bool check_nan = false;
  uint8_t autocast = 0;  // kinds of devices it is on for, a bit each
  Capture* capture = nullptr;
  SavedHooks* saved_hooks = nullptr;  // innermost
  Generator* generator = nullptr;     // null: the default one
};
FE_FAST_TLS inline thread_local constinit Modes modes;

}  // namespace ferrule
