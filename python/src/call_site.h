// Where the Python program is: see call_site.cpp.
#pragma once

#include "binding.h"

namespace ferrule::python {

void bind_call_sites();
// To be called before an op runs without the GIL.
void note_site_before_release();
// "train.py:12: y.add_(1)", the innermost line that is not Ferrule's own.
std::string users_line();

}  // namespace ferrule::python
