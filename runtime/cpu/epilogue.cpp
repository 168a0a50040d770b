// Epilogues: how they are put together, and what is known only when a run
// begins.
#include "runtime/cpu/epilogue.h"

#include <cmath>

#include "runtime/cpu/operands.h"

namespace ferrule {
namespace {

bool in_float(const OpCall& c) {
  return c.compute == DType::f32 && c.out_impl().dtype == DType::f32;
}

bool dense_float(const TensorImpl& t) {
  return t.contiguous && t.dtype == DType::f32;
}

}  // namespace

int64_t Epilogue::scratch_bytes() const {
  return norm ? cpu::align64(norm->in(0).shape[1] * int64_t{sizeof(float)}) : 0;
}

void Epilogue::begin(const TensorImpl& out, void* scratch) {
  result = out.ptr<float>();
  if (addend) added = addend->ptr<float>();
  if (!norm) return;
  using namespace cpu;
  FE_BEST(norm_scales)
  (norm->in(2).ptr<float>(), norm->in(3).ptr<float>(),
   static_cast<float>(norm->f(7)), static_cast<float*>(scratch),
   norm->in(0).shape[1]);
  mean = norm->in(1).ptr<float>();
  scale = static_cast<const float*>(scratch);
  shift = norm->in(4).ptr<float>();
}

Epilogue::Steps Epilogue::common_steps() const {
  Steps s;
  if (clip == Clip::relu) s.low = 0;
  if (clip == Clip::limits) {
    s.low = low;
    s.high = high;
    // Where nothing comes between, one addition does for both.
    (addend || columns ? s.zero : s.shift) += zero;
  }
  return s;
}

Epilogue::Steps Epilogue::steps(int64_t channel) const {
  Steps s = common_steps();
  if (norm && !columns) {
    s.mean = mean[channel];
    s.scale = scale[channel];
    s.shift += shift[channel];
  }
  return s;
}

bool Epilogue::set_norm(const OpCall& c) {
  const bool training = c.b(5);
  if (norm || addend || clip != Clip::none || then || training ||
      !in_float(c)) {
    return false;
  }
  // Convolutions have results of four dimensions, and matrix products that join
  // any but four. A single column is computed as a row.
  const int ndim = c.in(0).ndim;
  if (ndim != 4 && (ndim != 2 || c.in(0).shape[1] == 1)) return false;
  for (int i = 1; i <= 4; ++i) {  // statistics, weight, bias
    if (!c.is_tensor(i) || !dense_float(c.in(i))) return false;
  }
  norm = &c;
  columns = ndim == 2;
  return true;
}

bool Epilogue::set_addend(const OpCall& c, int arg) {
  if (addend || clip != Clip::none || then || !in_float(c)) return false;
  if (!c.is_tensor(arg) || !dense_float(c.in(arg)) ||
      !std::ranges::equal(c.in(arg).sizes(), c.out_impl().sizes())) {
    return false;
  }
  addend = &c.in(arg);
  return true;
}

bool Epilogue::set_relu(const OpCall& c) {
  if (clip != Clip::none || then || !in_float(c)) return false;
  clip = Clip::relu;
  return true;
}

bool Epilogue::set_limits(const OpCall& c, double least, double most) {
  if (clip != Clip::none || then || !in_float(c)) return false;
  // Of -0 and 0 clamp gives the limit. Where that is 0 below, it is enough to
  // add 0 to x; the other limits are for clamp itself.
  if (std::isnan(least) || std::isnan(most) || most == 0 ||
      (least == 0 && std::signbit(least))) {
    return false;
  }
  clip = Clip::limits;
  low = static_cast<float>(least);
  high = static_cast<float>(most);
  zero = low == 0 ? 0.0f : -0.0f;
  return low != 0 || least == 0;
}

bool Epilogue::set_then(const OpCall& c, cpu::TileFn fn) {
  if (then || !in_float(c)) return false;
  then = fn;
  return true;
}

}  // namespace ferrule
