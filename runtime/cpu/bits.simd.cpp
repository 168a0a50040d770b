// And, or, xor of dense memory: what the elements are does not matter, only how
// many bytes they have.
#include "runtime/cpu/bits.h"

#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
namespace {

template <Bits op, int kItemsize>
void loop(void* out, const void* const* in, int64_t n) {
  auto* o = static_cast<uint8_t*>(out);
  const auto* a = static_cast<const uint8_t*>(in[0]);
  const auto* b = static_cast<const uint8_t*>(in[1]);
  n *= kItemsize;
  for (int64_t i = 0; i < n; i += lanes<uint8_t>) {
    const Vec<uint8_t> x = load(a + i, n - i);
    const Vec<uint8_t> y = load(b + i, n - i);
    if constexpr (op == Bits::and_) store(o + i, x & y, n - i);
    if constexpr (op == Bits::or_) store(o + i, x | y, n - i);
    if constexpr (op == Bits::xor_) store(o + i, x ^ y, n - i);
  }
}

template <Bits op>
TileFn find(int64_t itemsize) {
  switch (itemsize) {
    case 1:
      return loop<op, 1>;
    case 2:
      return loop<op, 2>;
    case 4:
      return loop<op, 4>;
    default:
      return loop<op, 8>;
  }
}

}  // namespace

TileFn bits_tile(Bits op, int64_t itemsize) {
  switch (op) {
    case Bits::and_:
      return find<Bits::and_>(itemsize);
    case Bits::or_:
      return find<Bits::or_>(itemsize);
    default:
      return find<Bits::xor_>(itemsize);
  }
}

}  // namespace ferrule::cpu::FE_ISA
