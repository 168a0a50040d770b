// CPU kernels of bitwise and logical ops.
#include "runtime/cpu/bits.h"
#include "runtime/cpu/map.h"

namespace ferrule {
namespace cpu {
namespace {

// On the dtype itself, without a detour over int64: masks are bytes.
template <Bits op>
void bits(const OpCall& c, TileSink& to) {
  const DType t = c.compute;
  const Input in[] = {{c, 0, t}, {c, 1, t}};
  to.take(FE_BEST(bits_tile)(op, itemsize(t)), t, in);
}

// For bools xor with True, for integers with all ones.
void bitwise_not(const OpCall& c, TileSink& to) {
  const DType t = c.compute;
  const Input in[] = {{c, 0, t}, {t == DType::bool_ ? Arg(1) : Arg(-1), t}};
  to.take(FE_BEST(bits_tile)(Bits::xor_, itemsize(t)), t, in);
}

// All 64 bits are there, so a narrower dtype loses what is shifted out of it
// when the result is stored. Counts that are negative or too large shift
// everything out, as in NumPy.
constexpr auto left = [](int64_t x, int64_t count) -> int64_t {
  const bool all = count < 0 || count >= 64;
  return all ? 0 : static_cast<int64_t>(static_cast<uint64_t>(x) << count);
};
constexpr auto right = [](int64_t x, int64_t count) -> int64_t {
  const bool all = count < 0 || count >= 64;
  return x >> (all ? 63 : count);
};

}  // namespace
}  // namespace cpu

extern const KernelDef bitwise_and_cpu = {
    .name = "bitwise_and",
    .tiles = cpu::bits<cpu::Bits::and_>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef bitwise_or_cpu = {
    .name = "bitwise_or",
    .tiles = cpu::bits<cpu::Bits::or_>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef bitwise_xor_cpu = {
    .name = "bitwise_xor",
    .tiles = cpu::bits<cpu::Bits::xor_>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef bitwise_not_cpu = {
    .name = "bitwise_not",
    .tiles = cpu::bitwise_not,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef bitwise_left_shift_cpu = {
    .name = "bitwise_left_shift",
    .tiles = cpu::map_ints<cpu::left, 0, 1>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef bitwise_right_shift_cpu = {
    .name = "bitwise_right_shift",
    .tiles = cpu::map_ints<cpu::right, 0, 1>,
    .contiguous = false,
    .elementwise = true,
};
// Their operands are made bools as they are read.
extern const KernelDef logical_and_cpu = {
    .name = "logical_and",
    .tiles = cpu::bits<cpu::Bits::and_>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef logical_or_cpu = {
    .name = "logical_or",
    .tiles = cpu::bits<cpu::Bits::or_>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef logical_xor_cpu = {
    .name = "logical_xor",
    .tiles = cpu::bits<cpu::Bits::xor_>,
    .contiguous = false,
    .elementwise = true,
};

}  // namespace ferrule
