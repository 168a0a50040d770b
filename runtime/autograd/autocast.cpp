// Autocast: its state, which operands are cast, and parameters that are cast
// once.
#include "runtime/autograd/autocast.h"

#include <bit>
#include <unordered_map>

#include "ferrule/capture.h"
#include "ferrule/ops.h"

namespace ferrule {
namespace {

// A parameter and what it was cast to.
struct CachedCast {
  Tensor parameter, cast;
  int64_t written;  // how often the parameter had been
};

struct State {
  DType dtype[kMaxDeviceKinds] = {DType::bf16, DType::bf16, DType::f16,
                                  DType::f16,  DType::f16,  DType::f16,
                                  DType::f16,  DType::f16};
  bool cache_enabled = true;
  int regions = 0;
  size_t cleaned_at = 0;  // entries of the cache then
  std::unordered_map<TensorImpl*, CachedCast> cache;
};

State& state() {
  thread_local State s;
  return s;
}

uint8_t bit_of(int kind) { return static_cast<uint8_t>(1u << kind); }

// The kind of device whose region holds for a tensor; -1: none.
int region_of(const TensorImpl* t, uint8_t kinds) {
  if (t->device.is_graph()) return std::countr_zero(kinds);
  const int kind = static_cast<int>(t->device.kind);
  return kinds & bit_of(kind) ? kind : -1;
}

bool is_cast(const TensorImpl* t, uint8_t kinds) {
  return is_float(t->dtype) && t->dtype != DType::f64 &&
         region_of(t, kinds) >= 0;
}

// --- the cache

// Counts writes: a captured one gives a new value, others a new version.
int64_t writes_of(const TensorImpl* t) {
  return t->storage ? int64_t{t->storage->version} : t->graph_value;
}

// Of what only the cache holds, such as inputs of steps long past.
void drop_forgotten(State& s) {
  if (s.cache.size() < 2 * s.cleaned_at + 64) return;
  std::erase_if(s.cache, [](const auto& entry) {
    return entry.second.parameter->refs.load() == 1;
  });
  s.cleaned_at = s.cache.size();
}

// Is it a concrete tensor, or of the capture that is running?
bool is_here(const Tensor& t) {
  return !t.device().is_graph() ||
         (modes.capture && t->graph_epoch == modes.capture->epoch());
}

Tensor cast_parameter(State& s, TensorImpl* t, DType dtype) {
  if (auto at = s.cache.find(t); at != s.cache.end()) {
    const CachedCast& known = at->second;
    // What was cast while nothing was recorded passes no gradient on, and what
    // was cast in another graph, around this one or inside, stays there.
    const bool recorded = known.cast->history || !modes.grad;
    if (recorded && known.cast.dtype() == dtype &&
        known.written == writes_of(t) &&
        known.cast->inference == modes.inference && is_here(known.cast)) {
      return known.cast;
    }
  }
  drop_forgotten(s);
  Tensor parameter = Tensor::share(t);
  Tensor cast = op::cast(parameter, dtype);
  s.cache[t] = {std::move(parameter), cast, writes_of(t)};
  return cast;
}

bool is_parameter(const TensorImpl* t) {
  return t->dtype == DType::f32 && t->requires_grad && !t->history && !t->root;
}

// --- operands

Tensor cast_to(TensorImpl* t, DType dtype) {
  State& s = state();
  if (dtype != DType::f32 && s.cache_enabled && is_parameter(t)) {
    return cast_parameter(s, t, dtype);
  }
  return op::cast(Tensor::share(t), dtype);
}

}  // namespace

CastOperands::CastOperands(OpCall& c, uint8_t kinds) {
  const Schema& schema = c.info.schema;
  const auto each = [&](const auto& visit) {
    for (int i = 0; i < schema.n; ++i) {
      if (!c.is_tensor(i) || schema.params[i].mutated) continue;
      if (is_cast(c.args[i].tensor, kinds)) visit(i, c.args[i].tensor);
    }
  };
  DType widest = DType::f32;
  if (c.op.autocast == Autocast::widest) {
    bool any = false;
    each([&](int, const TensorImpl* t) {
      widest = any ? promote(widest, t->dtype) : t->dtype;
      any = true;
    });
  }
  each([&](int i, TensorImpl* t) {
    const DType dtype = c.op.autocast == Autocast::lower
                            ? state().dtype[region_of(t, kinds)]
                            : widest;
    if (t->dtype == dtype) return;
    held_[i] = cast_to(t, dtype);
    c.args[i].tensor = held_[i].impl();
  });
}

// --- state

bool autocast_enabled(DeviceKind kind) {
  return modes.autocast & bit_of(static_cast<int>(kind));
}
void set_autocast_enabled(DeviceKind kind, bool on) {
  const uint8_t bit = bit_of(static_cast<int>(kind));
  modes.autocast =
      static_cast<uint8_t>(on ? modes.autocast | bit : modes.autocast & ~bit);
}

DType autocast_dtype(DeviceKind kind) {
  return state().dtype[static_cast<int>(kind)];
}
void set_autocast_dtype(DeviceKind kind, DType dtype) {
  if (dtype != DType::bf16 && dtype != DType::f16) {
    fail<DTypeError>("[autocast] computes in bfloat16 or float16, got ", dtype);
  }
  state().dtype[static_cast<int>(kind)] = dtype;
}

bool autocast_cache_enabled() { return state().cache_enabled; }
void set_autocast_cache_enabled(bool on) { state().cache_enabled = on; }
void clear_autocast_cache() {
  State& s = state();
  s.cache.clear();
  s.cleaned_at = 0;
}
int enter_autocast_region() { return ++state().regions; }
int leave_autocast_region() { return --state().regions; }

}  // namespace ferrule
