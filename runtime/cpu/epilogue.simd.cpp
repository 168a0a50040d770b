// The arithmetic of epilogues: as in the kernels of the ops that they replace.
#include "runtime/cpu/epilogue.h"

#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
namespace {

using Clip = Epilogue::Clip;

template <bool norm, bool add, Clip clip>
void finish(const Epilogue& e, int64_t channel, int64_t rows, float* to,
            int64_t to_row, int64_t n) {
  const F32 low = splat(e.low), high = splat(e.high), zero = splat(e.zero);
  for (int64_t i = 0; i < rows; ++i, to += to_row) {
    const F32 mean = norm ? splat(e.mean[channel + i]) : F32{};
    const F32 scale = norm ? splat(e.scale[channel + i]) : F32{};
    const F32 shift = norm ? splat(e.shift[channel + i]) : F32{};
    const float* const added = add ? e.added + (to - e.result) : nullptr;
    const auto step = [&](int64_t v, auto... left) {
      F32 x = load(to + v, left...);
      if constexpr (norm) x = (x - mean) * scale + shift;
      if constexpr (add) x += load(added + v, left...);
      // Of two that are equal, or where one is NaN, x.
      if constexpr (clip == Clip::relu) x = larger(F32{}, x);
      if constexpr (clip == Clip::limits) {
        x = smaller(high, larger(low, x + zero));
      }
      store(to + v, x, left...);
    };
    int64_t v = 0;
    for (; v + 2 * lanes<float> <= n; v += 2 * lanes<float>) {
      step(v);
      step(v + lanes<float>);
    }
    for (; v < n; v += lanes<float>) step(v, n - v);
  }
}

template <bool norm, bool add>
auto finish_of(Clip clip) {
  return clip == Clip::none   ? finish<norm, add, Clip::none>
         : clip == Clip::relu ? finish<norm, add, Clip::relu>
                              : finish<norm, add, Clip::limits>;
}

}  // namespace

void finish_rows(const Epilogue& e, int64_t channel, int64_t rows, float* to,
                 int64_t to_row, int64_t n) {
  const bool norm = e.norm != nullptr, add = e.addend != nullptr;
  if (norm || add || e.clip != Clip::none) {
    const auto run = norm ? (add ? finish_of<true, true>(e.clip)
                                 : finish_of<true, false>(e.clip))
                          : (add ? finish_of<false, true>(e.clip)
                                 : finish_of<false, false>(e.clip));
    run(e, channel, rows, to, to_row, n);
  }
  if (e.then == nullptr) return;
  for (int64_t i = 0; i < rows; ++i, to += to_row) {
    const void* const in[] = {to};
    e.then(to, in, n);
  }
}

}  // namespace ferrule::cpu::FE_ISA
