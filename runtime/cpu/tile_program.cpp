// Makes programs of tile functions, and runs them.
#include "runtime/cpu/tile_program.h"

#include <algorithm>
#include <cstring>

#include "runtime/core/thread_pool.h"
#include "runtime/cpu/tile_range.h"

namespace ferrule::cpu {
namespace {

// Elements at a time: a few tiles of 4 bytes each fit the nearest cache, and
// calling the functions costs little beside what they do.
constexpr int64_t kProgramTile = 1024;
static_assert(kProgramTile * 8 <= sizeof(TileBuffer));

// Remembers what a call does.
struct Recorded final : TileSink {
  TileFn fn = nullptr;
  DType result = DType::f32;
  std::vector<Input> in;
  int64_t grain = 0;

  explicit Recorded(const OpCall& c) { c.info.cpu->tiles(c, *this); }
  void take(const Tile& tile, DType wrote, std::span<const Input> operands,
            int64_t worth) override {
    fn = tile.fn;
    result = wrote;
    in.assign(operands.begin(), operands.end());
    grain = worth;
  }
};

bool same_operand(const Input& a, const Input& b) {
  if (a.tensor != b.tensor || a.as != b.as) return false;
  return a.tensor || (a.number.tag == b.number.tag &&
                      std::memcmp(&a.number.i, &b.number.i, 8) == 0);
}

}  // namespace

bool TileProgram::takes(const OpCall& c) {
  const KernelDef* k = c.info.cpu;
  if (!k || !k->tiles || c.nouts != 1 || c.alias[0] >= 0 || c.in_place) {
    return false;
  }
  // Tiles have room for 8 bytes an element.
  if (itemsize(c.out_impl().dtype) > 8 || is_complex(c.compute)) return false;
  const Recorded r(c);
  return r.fn && std::ranges::none_of(
                     r.in, [](const Input& i) { return itemsize(i.as) > 8; });
}

// --- making -----------------------------------------------------------------

class TileProgram::Builder {
 public:
  Builder(TileProgram& p, std::span<const OpCall* const> calls) : p_(p) {
    double cost = 0;
    for (const OpCall* c : calls) {
      const Recorded r(*c);
      cost += 1.0 / static_cast<double>(r.grain);
      const bool last = c == calls.back();
      add(r, *c, last);
    }
    const auto grain = static_cast<int64_t>(1 / cost);
    p_.grain_ = (grain + kProgramTile - 1) / kProgramTile * kProgramTile;
    p_.out_ = &calls.back()->out_impl();
    share_buffers();
  }

 private:
  // Values are numbered: operands from 0 on, what steps make from kMade on.
  static constexpr int kMade = 1 << 16;
  struct Made {
    const TensorImpl* tensor;
    DType dtype;
    int value;
  };

  int new_value() { return kMade + made_count_++; }

  void add(const Recorded& r, const OpCall& c, bool last) {
    Step step;
    step.fn = r.fn;
    step.n = static_cast<int>(r.in.size());
    for (int k = 0; k < step.n; ++k) step.in[k] = value_of(r.in[k]);
    step.out = last ? -1 : new_value();
    step.over_input = std::ranges::all_of(r.in, [&](const Input& in) {
      return itemsize(in.as) == itemsize(r.result);
    });
    p_.steps_.push_back(step);
    if (last) {
      p_.result_ = r.result;
      return;
    }
    const DType stored = c.out_impl().dtype;
    const int value =
        stored == r.result ? step.out : convert(step.out, r.result, stored);
    made_.push_back({&c.out_impl(), stored, value});
  }

  int convert(int value, DType from, DType to) {
    Step step;
    step.route = Route(from, to);
    step.from = from;
    step.to = to;
    step.n = 1;
    step.in[0] = value;
    step.out = new_value();
    p_.steps_.push_back(step);
    return step.out;
  }

  int value_of(const Input& in) {
    if (in.tensor) {
      const auto made = [&](DType as) {
        return std::ranges::find_if(made_, [&](const Made& m) {
          return m.tensor == in.tensor && m.dtype == as;
        });
      };
      if (const auto at = made(in.as); at != made_.end()) return at->value;
      if (const auto at = made(in.tensor->dtype); at != made_.end()) {
        const int value = convert(at->value, in.tensor->dtype, in.as);
        made_.push_back({in.tensor, in.as, value});
        return value;
      }
    }
    auto& all = p_.operands_;
    const auto at = std::ranges::find_if(
        all, [&](const Input& o) { return same_operand(o, in); });
    const auto index = static_cast<int>(at - all.begin());
    if (at == all.end()) all.push_back(in);
    return index;
  }

  // What steps make gets a buffer, which is free for others once it was read
  // for the last time.
  void share_buffers() {
    std::vector<int> buffer(made_count_, -1), last(made_count_, -1), free;
    const auto each_made = [](const Step& step, const auto& visit) {
      for (int k = 0; k < step.n; ++k) {
        if (step.in[k] >= kMade) visit(step.in[k] - kMade);
      }
    };
    const auto take = [&](const Step& step) {
      if (step.out < 0) return;
      if (free.empty()) free.push_back(p_.buffers_++);
      buffer[step.out - kMade] = free.back();
      free.pop_back();
    };
    int now = 0;
    for (const Step& step : p_.steps_) {
      each_made(step, [&](int v) { last[v] = now; });
      ++now;
    }
    now = 0;
    for (const Step& step : p_.steps_) {
      if (!step.over_input) take(step);
      each_made(step, [&](int v) {
        if (last[v] != now) return;
        free.push_back(buffer[v]);
        last[v] = -1;
      });
      if (step.over_input) take(step);
      ++now;
    }
    const int operands = static_cast<int>(p_.operands_.size());
    const auto place = [&](int& value) {
      if (value >= kMade) value = operands + buffer[value - kMade];
    };
    for (Step& step : p_.steps_) {
      for (int k = 0; k < step.n; ++k) place(step.in[k]);
      place(step.out);
    }
  }

  TileProgram& p_;
  std::vector<Made> made_;
  int made_count_ = 0;
};

TileProgram::TileProgram(std::span<const OpCall* const> calls) {
  Builder(*this, calls);
}

// --- running ----------------------------------------------------------------

struct TileProgram::Memory {
  TileBuffer buffers[kMaxBuffers];
};

void TileProgram::run_tile(Memory& memory, void* to, const void* const* from,
                           int64_t n) const {
  const auto operands = static_cast<int>(operands_.size());
  const auto at = [&](int slot) -> const void* {
    return slot < operands ? from[slot] : memory.buffers[slot - operands].bytes;
  };
  for (const Step& step : steps_) {
    void* out = step.out < 0 ? to : memory.buffers[step.out - operands].bytes;
    if (!step.fn) {
      convert(step, out, at(step.in[0]), n);
      continue;
    }
    const void* in[kMaxInputs];
    for (int k = 0; k < step.n; ++k) in[k] = at(step.in[k]);
    step.fn(out, in, n);
  }
}

void TileProgram::convert(const Step& step, void* to, const void* from,
                          int64_t n) {
  for (int64_t i = 0; i < n; i += kTile) {
    step.route.convert(static_cast<char*>(to) + i * itemsize(step.to),
                       static_cast<const char*>(from) + i * itemsize(step.from),
                       std::min(kTile, n - i));
  }
}

// Dense operands of the right dtypes and at most a tile: no loop at all.
bool TileProgram::run_at_once() const {
  if (out_->numel > kProgramTile || !out_->contiguous ||
      out_->dtype != result_) {
    return false;
  }
  const void* from[kMaxOperands];
  TileBuffer numbers[kMaxOperands];
  for (size_t k = 0; k < operands_.size(); ++k) {
    const Input& in = operands_[k];
    if (const TensorImpl* t = in.tensor) {
      if (!t->contiguous || t->dtype != in.as || t->numel != out_->numel) {
        return false;
      }
      from[k] = t->bytes();
    } else {
      fill_number(in.number, in.as, numbers[k].bytes, out_->numel);
      from[k] = numbers[k].bytes;
    }
  }
  Memory memory;
  run_tile(memory, out_->bytes(), from, out_->numel);
  return true;
}

void TileProgram::run() const {
  if (out_->numel == 0 || run_at_once()) return;
  using All = Operands<kMaxOperands>;
  const All operands(*out_, result_, operands_, memory_order(*out_));
  parallel_for(out_->numel, grain_, [&](int64_t begin, int64_t end) {
    All own = operands;
    Memory memory;
    const auto tile = [&](void* to, const void* const* from, int64_t n) {
      run_tile(memory, to, from, n);
    };
    run_range(tile, own, begin, end, kProgramTile);
  });
}

}  // namespace ferrule::cpu
