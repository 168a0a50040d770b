// Elementwise kernels from a function of one element: for arithmetic that is
// not worth vector code of its own. It is compiled once, not once per
// instruction set.
//
//   .tiles = cpu::map_floats<[](auto y, auto x) { return std::atan2(y, x); },
//   0, 1>
//
// The numbers name the arguments of the call that are the function's operands.
#pragma once

#include "runtime/cpu/elementwise.h"

namespace ferrule::cpu {

// One tile of f(in[0], in[1], ...) on elements of type T.
template <auto f, class T, class... Operand>
void map_tile(void* out, const void* const* in, int64_t n) {
  using Result = decltype(f(Operand()...));
  using Stored = std::conditional_t<std::is_same_v<Result, bool>, uint8_t, T>;
  auto* o = static_cast<Stored*>(out);
  for (int64_t i = 0; i < n; ++i) {
    o[i] = [&]<size_t... k>(std::index_sequence<k...>) {
      return f(static_cast<const Operand*>(in[k])[i]...);
    }(std::index_sequence_for<Operand...>());
  }
}

// f on these arguments, as elements of type T, which is dtype t.
template <auto f, class T, int... arg>
void map_as(const OpCall& c, TileSink& to, DType t) {
  const auto same = [](int) { return T(); };
  constexpr bool to_bool = std::is_same_v<decltype(f(same(arg)...)), bool>;
  const Input in[] = {{c, arg, t}...};
  to.take(map_tile<f, T, decltype(same(arg))...>, to_bool ? DType::bool_ : t,
          in, kCostlyGrain);
}

// f computed in float or double.
template <auto f, int... arg>
void map_floats(const OpCall& c, TileSink& to) {
  const DType t = compute_type(c.compute);
  by_float(t, [&]<class T>(T) { map_as<f, T, arg...>(c, to, t); });
}

// f computed in int64; results wrap when they are stored in a narrower dtype.
template <auto f, int... arg>
void map_ints(const OpCall& c, TileSink& to) {
  map_as<f, int64_t, arg...>(c, to, DType::i64);
}

// f computed in float, double or int64.
template <auto f, int... arg>
void map_numbers(const OpCall& c, TileSink& to) {
  const DType t = compute_type(c.compute);
  by_number(t, [&]<class T>(T) { map_as<f, T, arg...>(c, to, t); });
}

}  // namespace ferrule::cpu
