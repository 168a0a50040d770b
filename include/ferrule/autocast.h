// Autocast: mixed precision by casting operands where ops are called.
//
// In a region where it is on, an op that gains by 16-bit floats casts its
// floating-point operands to them, and one that needs float32 casts to that;
// which ones do is part of their definitions (OpDef::autocast). Casts are ops
// like any other: they are recorded and captured.
//
// The state belongs to the thread. In a captured program symbolic tensors are
// cast as those of the first device that is on.
#pragma once

#include "ferrule/op.h"

namespace ferrule {

// By kind of device: only its tensors are cast.
bool autocast_enabled(DeviceKind kind);
void set_autocast_enabled(DeviceKind kind, bool on);
// The 16-bit dtype: bfloat16 on the CPU, float16 elsewhere, unless set.
DType autocast_dtype(DeviceKind kind);
void set_autocast_dtype(DeviceKind kind, DType dtype);

// Within regions a parameter (a float32 leaf that requires grad) is cast once,
// and again only after it was written. What was cast is kept until the cache
// is cleared, which the end of the outermost region does.
bool autocast_cache_enabled();
void set_autocast_cache_enabled(bool on);
void clear_autocast_cache();
// Count regions; both return how many there are now.
int enter_autocast_region();
int leave_autocast_region();

}  // namespace ferrule
