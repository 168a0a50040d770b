// A number argument as a 0-d tensor, for kernels that take both.
#pragma once

#include "runtime/cpu/cursor.h"
#include "runtime/cpu/row_order.h"

namespace ferrule::cpu {

// Lives on the stack and owns nothing; for arguments that are no numbers it has
// no meaning.
struct Number : TensorImpl {
  Number(const Arg& number, DType t) {
    memory_.data = value_;
    dtype = t;
    storage = &memory_;
    set_contiguous({});
    if (!number.is_number()) return;
    const bool complex = is_complex(t);
    const DType real = t == DType::c64    ? DType::f32
                       : t == DType::c128 ? DType::f64
                                          : t;
    const DType wide = compute_type(real);
    char wide_value[8];
    fill_number(number, wide, wide_value, 1);
    dtype = real;  // the imaginary part stays 0
    Writer writer(*this, layout_of(*this, row_order(0)), wide);
    writer.done(wide_value, 1);
    if (complex) dtype = t;
  }

 private:
  alignas(16) char value_[16] = {};
  Storage memory_;
};

}  // namespace ferrule::cpu
