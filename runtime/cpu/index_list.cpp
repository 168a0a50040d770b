// Kernels of reading and writing at positions that index tensors list: index,
// index_put and those that are special cases of them.
//
// Positions are handled a tile at a time. Each names a block of elements: those
// of the dimensions that are not indexed. Writes are cut by these, never by
// positions, so that of several writes to one element the last one wins.
#include <algorithm>
#include <cstring>

#include "runtime/core/function_ref.h"
#include "runtime/core/index_list.h"
#include "runtime/core/thread_pool.h"
#include "runtime/cpu/item.h"
#include "runtime/cpu/number.h"
#include "runtime/cpu/positions.h"
#include "runtime/cpu/strided_copy.h"
#include "runtime/cpu/sums.h"

namespace ferrule::cpu {
namespace {

constexpr int64_t kGrain = 16384;  // elements worth a thread
constexpr int64_t kMinRows = 16;

// The elements that input[indices] goes over, in two tensors: `x`, which the
// indices count in, and `y`, which has (or broadcasts to) the result's shape.
struct Plan {
  Positions positions;
  Walk y_positions;
  // Elements of a position: `outer` ones, each a run.
  Walk x_outer, y_outer;
  int64_t run = 1, x_run = 1, y_run = 1;

  Plan(const IndexList& list, const Dims& x_steps,
       std::span<const int64_t> y_shape, const Dims& y_steps)
      : positions(list.indexed, row_order(list.indexed.n), list.wraps) {
    for (int k = 0; k < list.n; ++k) {
      const int d = list.dim[k];
      positions.add(*list.index[k], d, list.input[d],
                    x_steps.n == 0 ? 1 : x_steps[d]);
    }
    // The result's dimension d in y; 0 where it is repeated.
    const auto y_step = [&](int d) {
      const int own = d - (list.result.n - static_cast<int>(y_shape.size()));
      return own < 0 || y_shape[own] == 1 ? 0 : y_steps[own];
    };
    for (int d = 0; d < list.indexed.n; ++d) {
      y_positions.push(list.indexed[d], y_step(list.first + d));
    }
    // The last dimensions, where they can be walked as one in both, are a run.
    int last = list.result.n;
    for (int d = list.input.n - 1; d >= 0 && !list.is_indexed(d); --d) {
      if (last <= list.first + list.indexed.n) break;
      const int64_t x = x_steps[d], y = y_step(last - 1);
      if (run != 1 && list.input[d] != 1 &&
          (x != run * x_run || y != run * y_run)) {
        break;
      }
      --last;
      if (list.input[d] == 1) continue;
      if (run == 1) {
        x_run = x;
        y_run = y;
      }
      run *= list.input[d];
    }
    for (int d = 0, at = 0; d < list.input.n; ++d) {
      if (list.is_indexed(d)) continue;
      if (at == list.first) at += list.indexed.n;
      if (at >= last) break;
      x_outer.push(list.input[d], x_steps[d]);
      y_outer.push(list.input[d], y_step(at++));
    }
  }

  int64_t numel() const { return positions.count() * x_outer.count() * run; }
};

struct Range {
  int64_t begin, end;
};

// The runs of a tile of positions and a tile of outer elements.
struct Block {
  const int64_t *x, *y;  // offsets of the positions
  int64_t n;
  bool even;  // then those in y are y_first, y_first + y_step, ...
  int64_t y_first, y_step;
  const int64_t *x_outer, *y_outer;  // offsets of the outer elements
  int64_t outer;

  template <class Visit>
  void each(const Visit& visit) const {
    for (int64_t k = 0; k < outer; ++k) {
      const int64_t x0 = x_outer[k], y0 = y_outer[k];
      if (even) {
        int64_t yi = y0 + y_first;
        for (int64_t j = 0; j < n; ++j, yi += y_step) visit(x0 + x[j], yi);
      } else {
        for (int64_t j = 0; j < n; ++j) visit(x0 + x[j], y0 + y[j]);
      }
    }
  }
};

// Calls visit for the blocks of these positions and of this part of the outer
// elements. False: an index is wrong.
bool each_block(OpCall& c, const Plan& plan, Range positions, Range outer,
                FunctionRef<void(const Block&)> visit) {
  Positions at = plan.positions;
  Walk y_at = plan.y_positions, x_outer = plan.x_outer, y_outer = plan.y_outer;
  at.seek(positions.begin);
  y_at.seek(positions.begin);
  int64_t x[kTile], y[kTile], xo[kTile], yo[kTile];
  Block b{.x = x,
          .y = y,
          .n = 0,
          .even = y_at.is_even(),
          .y_first = 0,
          .y_step = y_at.step(),
          .x_outer = xo,
          .y_outer = yo,
          .outer = 0};
  for (int64_t p = positions.begin; p < positions.end; p += b.n) {
    b.n = std::min(kTile, positions.end - p);
    b.y_first = p * b.y_step;
    if (!at.next(c, b.n, x)) return false;
    if (!b.even) y_at.next(b.n, y);
    x_outer.seek(outer.begin);
    y_outer.seek(outer.begin);
    for (int64_t o = outer.begin; o < outer.end; o += b.outer) {
      b.outer = std::min(kTile, outer.end - o);
      x_outer.next(b.outer, xo);
      y_outer.next(b.outer, yo);
      visit(b);
    }
  }
  return true;
}

// Calls visit(x offset, y offset) for the runs. Only the loops inside a block
// are compiled for each `visit`.
template <class Visit>
bool each_run(OpCall& c, const Plan& plan, Range positions, Range outer,
              const Visit& visit) {
  return each_block(c, plan, positions, outer,
                    [&](const Block& b) { b.each(visit); });
}

template <class T>
void copy_run(T* to, int64_t to_step, const T* from, int64_t from_step,
              int64_t n) {
  if (to_step == 1 && from_step == 1) {
    std::memcpy(to, from, n * sizeof(T));
    return;
  }
  for (int64_t i = 0; i < n; ++i) to[i * to_step] = from[i * from_step];
}

// y = x[...]
void read(OpCall& c, const IndexList& list, const TensorImpl& x,
          const TensorImpl& y) {
  const Plan plan(list, Dims(x.steps()), list.result,
                  contiguous_strides(list.result));
  const int64_t positions = plan.positions.count();
  const int64_t outer = plan.x_outer.count();
  with_item(x.dtype, [&]<class T>(T) {
    const T* from = x.ptr<T>();
    T* to = y.ptr<T>();
    const auto part = [&](Range p, Range o) {
      if (plan.run == 1) {
        each_run(c, plan, p, o,
                 [&](int64_t xi, int64_t yi) { to[yi] = from[xi]; });
      } else {
        each_run(c, plan, p, o, [&](int64_t xi, int64_t yi) {
          copy_run(to + yi, plan.y_run, from + xi, plan.x_run, plan.run);
        });
      }
    };
    // Whole rows of the result where there are rows enough.
    const bool by_outer = outer >= kMinRows || outer > positions;
    const int64_t units = by_outer ? outer : positions;
    const int64_t grain = std::max<int64_t>(kGrain / (plan.numel() / units), 1);
    parallel_for(units, grain, [&](int64_t begin, int64_t end) {
      if (by_outer) {
        part({0, positions}, {begin, end});
      } else {
        part({begin, end}, {0, outer});
      }
    });
  });
}

// Calls write(x offset, y offset, n) for pieces of runs; what goes to one
// element of x comes in the order of the positions.
template <class Write>
void each_write(OpCall& c, const Plan& plan, const Write& write) {
  const int64_t positions = plan.positions.count();
  const int64_t outer = plan.x_outer.count();
  const int64_t grain =
      std::max<int64_t>(kGrain / std::max<int64_t>(positions, 1), 1);
  if (outer > 1) {
    parallel_for(
        outer, std::max<int64_t>(grain / plan.run, 1),
        [&](int64_t begin, int64_t end) {
          each_run(c, plan, {0, positions}, {begin, end},
                   [&](int64_t xi, int64_t yi) { write(xi, yi, plan.run); });
        });
    return;
  }
  constexpr int64_t kColumns = 1024;  // a piece worth copying by itself
  parallel_for(
      plan.run, std::max(grain, kColumns), [&](int64_t begin, int64_t end) {
        each_run(c, plan, {0, positions}, {0, 1}, [&](int64_t xi, int64_t yi) {
          write(xi + begin * plan.x_run, yi + begin * plan.y_run, end - begin);
        });
      });
}

// x[...] = y; y broadcasts.
void write(OpCall& c, const IndexList& list, const TensorImpl& x,
           const TensorImpl& y) {
  const Plan plan(list, Dims(x.steps()), y.sizes(), Dims(y.steps()));
  if (plan.numel() == 0 || !plan.positions.check(c)) return;
  with_item(x.dtype, [&]<class T>(T) {
    T* to = x.ptr<T>();
    const T* from = y.ptr<T>();
    if (plan.run == 1) {
      each_write(c, plan,
                 [&](int64_t xi, int64_t yi, int64_t) { to[xi] = from[yi]; });
    } else {
      each_write(c, plan, [&](int64_t xi, int64_t yi, int64_t n) {
        copy_run(to + xi, plan.x_run, from + yi, plan.y_run, n);
      });
    }
  });
}

// x[...] += y * factor
void add(OpCall& c, const IndexList& list, const TensorImpl& x,
         const TensorImpl& y, const Arg& factor) {
  with_sums(c, x, y, [&]<class T>(const Sums<T>& s) {
    const Plan plan(list, s.sum_steps, y.sizes(), s.term_steps);
    if (plan.numel() == 0 || !plan.positions.check(c)) return;
    T by{1};
    if (factor.tag == ArgTag::int_) by = static_cast<T>(factor.i);
    if (factor.tag == ArgTag::float_) by = static_cast<T>(factor.f);
    each_write(c, plan, [&](int64_t xi, int64_t yi, int64_t n) {
      for (int64_t i = 0; i < n; ++i) {
        T& to = s.sum[xi + i * plan.x_run];
        to = wrapping_add(to, wrapping_mul(s.terms[yi + i * plan.y_run], by));
      }
    });
  });
}

// Result 0 has the values of argument 0, and may be where that is.
const TensorImpl& copied_input(OpCall& c) {
  const TensorImpl& out = c.out_impl();
  if (!c.in_place && out.bytes() != c.in(0).bytes()) {
    strided_copy(c.in(0), out);
  }
  return out;
}

// A dense tensor seen as one dimension.
struct Flat : TensorImpl {
  explicit Flat(const TensorImpl& t) {
    dtype = t.dtype;
    storage = t.storage;
    set_contiguous(Dims{t.numel});
    offset = t.offset;
  }
};

void index(OpCall& c) {
  const IndexList list(c, c.in(0).sizes(), c.list(1));
  read(c, list, c.in(0), c.out_impl());
}

void index_put(OpCall& c) {
  const IndexList list(c, c.in(0).sizes(), c.list(1));
  const TensorImpl& x = copied_input(c);
  if (c.b(3)) {
    add(c, list, x, c.in(2), Arg(1));
  } else {
    write(c, list, x, c.in(2));
  }
}

// Positions are visited from the last; the first of several is kept.
void last_writes(OpCall& c) {
  Dims shape;
  for (const Int& size : c.ints(1)) shape.push(size.value);
  const IndexList list(c, shape, c.list(0));
  Positions positions(list.indexed, row_order(list.indexed.n), true);
  int64_t step = 1;
  for (int k = list.n - 1; k >= 0; --k) {
    const int d = list.dim[k];
    positions.add(*list.index[k], d, shape[d], step);
    step *= shape[d];
  }
  auto* seen = static_cast<uint8_t*>(c.scratch);
  std::memset(seen, 0, step);
  auto* out = c.out_impl().ptr<uint8_t>();
  int64_t at[kTile];
  const int64_t tiles = (positions.count() + kTile - 1) / kTile;
  for (int64_t t = tiles - 1; t >= 0; --t) {
    const int64_t first = t * kTile;
    const int64_t n = std::min(kTile, positions.count() - first);
    positions.seek(first);
    if (!positions.next(c, n, at)) return;
    for (int64_t j = n - 1; j >= 0; --j) {
      out[first + j] = !seen[at[j]];
      seen[at[j]] = 1;
    }
  }
}

int64_t last_writes_scratch(const OpCall& c) {
  Dims shape;
  for (const Int& size : c.ints(1)) shape.push(size.value);
  const IndexList list(c, shape, c.list(0));
  int64_t n = 1;
  for (int k = 0; k < list.n; ++k) n *= shape[list.dim[k]];
  return n;
}

void take(OpCall& c) {
  const Flat x(c.in(0));
  TensorImpl* only[] = {c.args[1].tensor};
  read(c, IndexList(c, x.sizes(), only), x, c.out_impl());
}

void put(OpCall& c) {
  // A strided target was copied for us: that is written first.
  const bool through_copy = c.in_place && !c.out_impl().contiguous;
  const TensorImpl& target = through_copy ? c.in(0) : copied_input(c);
  const Flat x(target), index(c.in(1)), source(c.in(2));
  IndexList list(x.sizes(), 0, index);
  list.wraps = true;
  if (c.b(3)) {
    add(c, list, x, source, Arg(1));
  } else {
    write(c, list, x, source);
  }
  if (through_copy) strided_copy(target, c.out_impl());
}

IndexList along_dim(const OpCall& c) {
  const TensorImpl& x = c.in(0);
  return IndexList(x.sizes(), OpCall::wrap_dim(c, c.i(1), x.ndim), c.in(2));
}

void index_copy(OpCall& c) { write(c, along_dim(c), copied_input(c), c.in(3)); }

void index_add(OpCall& c) {
  add(c, along_dim(c), copied_input(c), c.in(3), c.args[4]);
}

void index_fill(OpCall& c) {
  const Number value(c.args[3], c.in(0).dtype);
  IndexList list = along_dim(c);
  list.wraps = true;
  write(c, list, copied_input(c), c.is_tensor(3) ? c.in(3) : value);
}

// Reads one element of any tensor along dim for each of the index.
void gather(OpCall& c) {
  const TensorImpl &x = c.in(0), &index = c.in(2), &out = c.out_impl();
  const int dim = OpCall::wrap_dim(c, c.i(1), x.ndim);
  Positions positions(out.sizes(), row_order(out.ndim), false);
  Walk base;
  for (int d = 0; d < x.ndim; ++d) {
    base.push(out.shape[d], d == dim ? 0 : x.strides[d]);
  }
  positions.set_base(base);
  positions.add(index, dim, x.ndim ? x.shape[dim] : 1,
                x.ndim ? x.strides[dim] : 1);
  with_item(x.dtype, [&]<class T>(T) {
    const T* from = x.ptr<T>();
    T* to = out.ptr<T>();
    parallel_for(out.numel, kGrain, [&](int64_t begin, int64_t end) {
      Positions at = positions;
      at.seek(begin);
      int64_t offset[kTile];
      for (int64_t i = begin, n; i < end; i += n) {
        n = std::min(kTile, end - i);
        if (!at.next(c, n, offset)) return;
        for (int64_t j = 0; j < n; ++j) to[i + j] = from[offset[j]];
      }
    });
  });
}

}  // namespace
}  // namespace ferrule::cpu

namespace ferrule {

extern const KernelDef index_cpu = {
    .name = "index",
    .run = cpu::index,
    .contiguous = false,
};
extern const KernelDef index_put_cpu = {
    .name = "index_put",
    .run = cpu::index_put,
    .contiguous = false,
    .scratch =
        [](const OpCall& c) {
          return c.b(3) ? cpu::sum_bytes(c.in(0), c.in(2)) : 0;
        },
    .over_input = true,
};
extern const KernelDef last_writes_cpu = {
    .name = "last_writes",
    .run = cpu::last_writes,
    .scratch = cpu::last_writes_scratch,
};
extern const KernelDef take_cpu = {.name = "take", .run = cpu::take};
extern const KernelDef put_cpu = {
    .name = "put",
    .run = cpu::put,
    .scratch =
        [](const OpCall& c) {
          return c.b(3) ? cpu::sum_bytes(c.in(0), c.in(2)) : 0;
        },
    .over_input = true,
};
extern const KernelDef index_copy_cpu = {
    .name = "index_copy",
    .run = cpu::index_copy,
    .contiguous = false,
    .over_input = true,
};
extern const KernelDef index_add_cpu = {
    .name = "index_add",
    .run = cpu::index_add,
    .contiguous = false,
    .scratch = [](const OpCall& c) { return cpu::sum_bytes(c.in(0), c.in(3)); },
    .over_input = true,
};
extern const KernelDef gather_cpu = {
    .name = "gather",
    .run = cpu::gather,
    .contiguous = false,
};
extern const KernelDef index_fill_cpu = {
    .name = "index_fill",
    .run = cpu::index_fill,
    .contiguous = false,
    .over_input = true,
};

}  // namespace ferrule
