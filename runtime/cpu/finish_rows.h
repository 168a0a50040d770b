// What follows on the result of a product, for those who need no more of
// epilogue.h.
#pragma once

#include <cstdint>

#include "runtime/cpu/isa.h"

namespace ferrule {
struct Epilogue;
}
namespace ferrule::cpu {

FE_SIMD(
    // On n elements of each of `rows` channels from `channel` on, whose
    // elements are `to_row` apart. Of a matrix `channel` is the first column.
    void finish_rows(const Epilogue& e, int64_t channel, int64_t rows,
                     float* to, int64_t to_row, int64_t n);)

}  // namespace ferrule::cpu
