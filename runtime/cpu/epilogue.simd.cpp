// The arithmetic of epilogues: as in the kernels of the ops that they replace.
#include "runtime/cpu/epilogue.h"

#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
namespace {

// Where the numbers of batch norm are.
enum class Norm : uint8_t { none, rows, columns };

template <Norm norm, bool add>
void finish(const Epilogue& e, int64_t channel, int64_t rows, float* to,
            int64_t to_row, int64_t n) {
  // What all channels share. Little time is left for a channel: it may have a
  // tile's few elements.
  const Epilogue::Steps s = e.common_steps();
  const F32 zero = splat(s.zero);
  const F32 low = splat(s.low), high = splat(s.high);
  for (int64_t i = 0; i < rows; ++i, to += to_row) {
    F32 mean{}, scale{}, shift = splat(s.shift);
    if constexpr (norm == Norm::rows) {
      mean = splat(e.mean[channel + i]);
      scale = splat(e.scale[channel + i]);
      shift += e.shift[channel + i];
    }
    const float* const added = add ? e.added + (to - e.result) : nullptr;
    const auto step = [&](int64_t v, auto... left) {
      F32 x = load(to + v, left...);
      if constexpr (norm == Norm::columns) {
        const int64_t at = channel + v;
        x = (x - load(e.mean + at, left...)) * load(e.scale + at, left...) +
            load(e.shift + at, left...);
      } else {
        if constexpr (norm == Norm::rows) x = (x - mean) * scale;
        x += shift;
      }
      if constexpr (add) x += load(added + v, left...);
      if constexpr (add || norm == Norm::columns) x += zero;
      store(to + v, smaller(high, larger(low, x)), left...);
    };
    int64_t v = 0;
    for (; v + 2 * lanes<float> <= n; v += 2 * lanes<float>) {
      step(v);
      step(v + lanes<float>);
    }
    for (; v < n; v += lanes<float>) step(v, n - v);
  }
}

template <bool add>
auto finish_of(const Epilogue& e) {
  return e.norm == nullptr ? finish<Norm::none, add>
         : e.columns       ? finish<Norm::columns, add>
                           : finish<Norm::rows, add>;
}

}  // namespace

void norm_scales(const float* var, const float* weight, float eps, float* scale,
                 int64_t n) {
  for (int64_t i = 0; i < n; i += lanes<float>) {
    const F32 root = sqrt(load(var + i, n - i) + eps);
    store(scale + i, 1.0f / root * load(weight + i, n - i), n - i);
  }
}

void finish_rows(const Epilogue& e, int64_t channel, int64_t rows, float* to,
                 int64_t to_row, int64_t n) {
  const bool add = e.addend != nullptr;
  if (e.norm != nullptr || add || e.clip != Epilogue::Clip::none) {
    (add ? finish_of<true>(e) : finish_of<false>(e))(e, channel, rows, to,
                                                     to_row, n);
  }
  if (e.then == nullptr) return;
  for (int64_t i = 0; i < rows; ++i, to += to_row) {
    const void* const in[] = {to};
    e.then(to, in, n);
  }
}

}  // namespace ferrule::cpu::FE_ISA
