// Generators of random numbers from Python.
#pragma once

#include "binding.h"

namespace ferrule {
class Generator;
}

namespace ferrule::python {

void bind_generators(nb::module_& m);
// What the keyword `generator` was given; null: the default one.
Generator* generator_from(PyObject* o);

}  // namespace ferrule::python
