// Binds capture, programs and sessions.
#pragma once

#include <nanobind/nanobind.h>

namespace ferrule::python {

void bind_capture(nanobind::module_& m);

}  // namespace ferrule::python
