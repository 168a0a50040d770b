// NumPy's .npy files, versions 1 and 2:
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once

#include <string>

#include "ferrule/tensor.h"

namespace ferrule::tool {

// Little-endian, C order. Throws FormatError "[x.npy] ...".
Tensor read_npy(const std::string& path);
void write_npy(const std::string& path, const Tensor& t);

}  // namespace ferrule::tool
