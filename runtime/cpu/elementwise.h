// The loop under every elementwise kernel.
//
//   const Input in[] = {{c, 0, DType::f32}, {c, 1, DType::f32}};
//   elementwise(FE_BEST(binary_tile)(Binary::add, DType::f32),
//               c.out_impl(), DType::f32, in);
//
// The elements of the result are cut into ranges that run on several threads,
// and every range is given to the tile function in dense pieces: the operands'
// own memory where they are dense and of the right dtype, else small copies
// that stay in the first-level cache. So arithmetic is written for dense f32,
// f64 and i64 only, and what an element becomes depends on it alone.
#pragma once

#include <span>

#include "ferrule/op.h"
#include "runtime/cpu/convert.h"
#include "runtime/cpu/isa.h"

namespace ferrule::cpu {

// out[i] = f(in[0][i], in[1][i], ...) for i < n. `out` may be one of the
// inputs; otherwise nothing overlaps.
using TileFn = void (*)(void* out, const void* const* in, int64_t n);
inline constexpr int kMaxInputs = 6;

// A tile function and, for what is worth a second loop, one that writes past
// the caches (stream.h): `out` stands at the start of a line, and n elements
// are whole lines.
struct Tile {
  TileFn fn;
  TileFn past_caches;

  Tile(TileFn fn, TileFn past_caches = nullptr)
      : fn(fn), past_caches(past_caches) {}
};

// An operand, and the dtype the tile function wants it in.
struct Input {
  const TensorImpl* tensor = nullptr;
  Arg number;
  DType as = DType::f32;

  Input() = default;
  Input(const OpCall& c, int arg, DType t)
      : tensor(c.is_tensor(arg) ? c.args[arg].tensor : nullptr),
        number(tensor ? Arg() : c.args[arg]),
        as(t) {}
  Input(const TensorImpl& t, DType wanted) : tensor(&t), as(wanted) {}
  Input(const Arg& value, DType wanted) : number(value), as(wanted) {}
};

// How many elements are worth a thread: for functions that cost about as much
// as moving the data, and for those of tens of operations.
inline constexpr int64_t kCheapGrain = 65536;
inline constexpr int64_t kCostlyGrain = 8192;

// `result` is what the tile functions write; `out` may have another dtype and
// any strides.
void elementwise(Tile tile, const TensorImpl& out, DType result,
                 std::span<const Input> in, int64_t grain = kCheapGrain);

// What a kernel does by one call of elementwise(), it says in KernelDef::tiles:
//
//   void negate(const OpCall& c, TileSink& to) {
//     const DType t = compute_type(c.compute);
//     const Input in[] = {{c, 0, t}};
//     to.take(FE_BEST(unary_tile)(Unary::neg, t), t, in);
//   }
//   extern const KernelDef neg_cpu = {.name = "neg", .tiles = negate, ...};
//
// Whoever calls it may run that at once, or together with other calls on the
// same tile (tile_program.h). It depends on the call's arguments but not on
// elements; where a kernel does more than that, it takes nothing.
class TileSink {
 public:
  virtual void take(const Tile& tile, DType result, std::span<const Input> in,
                    int64_t grain = kCheapGrain) = 0;

 protected:
  ~TileSink() = default;
};

// Runs what `tiles` says on the result of the call.
void run_tiles(OpCall& c, void (*tiles)(const OpCall&, TileSink&));

// For kernels that look for errors among integers before they compute.
template <auto tiles>
void of_floats(const OpCall& c, TileSink& to) {
  if (is_float(c.compute)) tiles(c, to);
}

// Elements as they are.
TileFn copy_tile(int64_t itemsize);

enum class Unary : uint8_t {
  neg,
  abs,
  sign,
  relu,
  square,  // f32, f64, i64
  floor,
  ceil,
  trunc,
  round,
  reciprocal,
  rsqrt,  // floats; cheap, as those before
  exp,
  log,
  sqrt,
  sigmoid,
  tanh,
  erf,
  sin,
  cos,
  gelu,
  gelu_tanh,  // floats
};
enum class Binary : uint8_t {
  add,
  sub,
  mul,
  maximum,
  minimum,  // f32, f64, i64
  eq,
  ne,
  lt,
  le,
  abs_eq,
  abs_lt,  // the same, the last two of |a| and b; write bool
  pow,     // the same
  div,
  relu_backward,
  sigmoid_backward,
  tanh_backward,
  gelu_backward,
  gelu_tanh_backward,  // floats
};

// The tile functions; t is f32, f64 or i64.
FE_SIMD(Tile unary_tile(Unary op, DType t);
        Tile binary_tile(Binary op, DType t);
        // in[0] (bool) ? in[1] : in[2], of 4 or 8 bytes
        TileFn where_tile(int64_t itemsize);
        // min(max(in[0], in[1]), in[2]); a NaN is the result
        TileFn clamp_tile(DType t);
        // (x - mean) * scale + shift, for x, mean, scale, shift
        TileFn normalize_tile(DType t);
        // g * scale - a - (x - mean) * b, for g, x, mean, a, b, scale
        TileFn normalize_backward_tile(DType t);)

}  // namespace ferrule::cpu
