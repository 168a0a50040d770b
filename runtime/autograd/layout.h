// Memory formats of images: row-major (N, C, H, W), or with the channels last
// in memory. The shape is the same; only strides differ.
#pragma once

#include "ferrule/tensor.h"

namespace ferrule {

// Do the channels of a 4-d (or 5-d) tensor lie side by side, row by row of
// pixels? True also where sizes of 1 leave it open.
bool is_channels_last(const TensorImpl& t);

// The tensor itself if it has that format, else a (recorded) copy that has.
Tensor to_channels_last(const Tensor& t);

}  // namespace ferrule
