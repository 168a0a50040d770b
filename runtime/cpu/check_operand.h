// Looking for values in an operand that an op does not take.
#pragma once

#include <algorithm>

#include "runtime/cpu/cursor.h"

namespace ferrule::cpu {

// Reports the first element of an integer operand that `wrong` holds for; true
// when there is one. `text` as for OpCall::report.
template <class Wrong>
bool report_if(OpCall& c, int arg, const char* text, const Wrong& wrong) {
  int64_t count = 1;
  Reader reader;
  if (c.is_tensor(arg)) {
    const TensorImpl& t = c.in(arg);
    reader = Reader(t, layout_of(t, memory_order(t)), DType::i64);
    count = t.numel;
  } else {
    reader = Reader(c.args[arg], DType::i64);
  }
  TileBuffer buffer;
  for (int64_t i = 0; i < count; i += kTile) {
    const int64_t n = std::min(kTile, count - i);
    const auto* values =
        static_cast<const int64_t*>(reader.next(n, buffer.bytes));
    for (int64_t k = 0; k < n; ++k) {
      if (!wrong(values[k])) continue;
      c.report(text, values[k], 0, ErrorKind::value);
      return true;
    }
  }
  return false;
}

}  // namespace ferrule::cpu
