// Copies of operands in the type that a kernel computes in.
#include "runtime/cpu/operands.h"

#include "runtime/core/thread_pool.h"
#include "runtime/cpu/cursor.h"

namespace ferrule::cpu {
namespace {

constexpr int64_t kGrain = 1 << 15;

}  // namespace

void widen(const TensorImpl& t, DType as, void* to) {
  if (t.numel == 0) return;
  Order order;
  for (int d = 0; d < t.ndim; ++d) order.push(d);
  const Reader whole(t, layout_of(t, order), as);
  parallel_for(t.numel, kGrain, [&](int64_t begin, int64_t end) {
    Reader part = whole;
    part.seek(begin);
    part.read(static_cast<char*>(to) + begin * itemsize(as), end - begin);
  });
}

int64_t operand_bytes(const OpCall& c, int inputs) {
  int64_t bytes = widened_bytes(c.out_impl());
  for (int i = 0; i < inputs; ++i) {
    if (c.is_tensor(i)) bytes += widened_bytes(c.in(i));
  }
  return bytes;
}

}  // namespace ferrule::cpu
