// Kernels that write or add each element of a tensor where an index tensor says
// so: scatter, scatter_add, scatter_reduce. What goes to one element lies on
// one line along dim; lines go to threads whole and are walked in order.
#include <algorithm>
#include <limits>

#include "runtime/core/function_ref.h"
#include "runtime/core/thread_pool.h"
#include "runtime/cpu/item.h"
#include "runtime/cpu/number.h"
#include "runtime/cpu/positions.h"
#include "runtime/cpu/strided_copy.h"
#include "runtime/cpu/sums.h"

namespace ferrule::cpu {
namespace {

constexpr int64_t kGrain = 16384;  // elements worth a thread

// Which elements of a source go to which of a target, line by line.
struct Plan {
  Order order;  // dim is the last
  Positions positions;
  Walk source;
  int64_t length = 1;

  // `source_steps`: none for a number.
  Plan(const TensorImpl& x, int dim, const TensorImpl& index,
       const Dims& x_steps, const Dims& source_steps)
      : order(lines(index.ndim, dim)), positions(index.sizes(), order, false) {
    Walk base;
    for (int k = 0; k < order.n; ++k) {
      const int d = order.dim[k];
      base.push(index.shape[d], d == dim ? 0 : x_steps[d]);
      source.push(index.shape[d], source_steps.n ? source_steps[d] : 0);
    }
    positions.set_base(base);
    const bool scalar = x.ndim == 0;
    positions.add(index, scalar ? 0 : dim, scalar ? 1 : x.shape[dim],
                  scalar ? 1 : x_steps[dim]);
    if (!scalar) length = index.shape[dim];
  }

  static Order lines(int ndim, int dim) {
    Order o;
    for (int d = 0; d < ndim; ++d) {
      if (d != dim) o.push(d);
    }
    if (dim < ndim) o.push(dim);
    return o;
  }
};

// Calls visit(target offsets, source offsets, how many) for all elements of the
// index, a tile at a time.
void each_tile(
    OpCall& c, const Plan& plan,
    FunctionRef<void(const int64_t*, const int64_t*, int64_t)> visit) {
  const int64_t lines = plan.positions.count() / plan.length;
  const int64_t grain = std::max<int64_t>(kGrain / plan.length, 1);
  parallel_for(lines, grain, [&](int64_t begin, int64_t end) {
    Positions at = plan.positions;
    Walk source = plan.source;
    at.seek(begin * plan.length);
    source.seek(begin * plan.length);
    int64_t to[kTile], from[kTile];
    for (int64_t i = begin * plan.length, n; i < end * plan.length; i += n) {
      n = std::min(kTile, end * plan.length - i);
      if (!at.next(c, n, to)) return;
      source.next(n, from);
      visit(to, from, n);
    }
  });
}

// Calls visit(target offset, source offset) for every element of the index.
// Only the loop over a tile is compiled for each `visit`.
template <class Visit>
void each(OpCall& c, const Plan& plan, const Visit& visit) {
  each_tile(c, plan, [&](const int64_t* to, const int64_t* from, int64_t n) {
    for (int64_t j = 0; j < n; ++j) visit(to[j], from[j]);
  });
}

int dim_of(const OpCall& c) {
  return OpCall::wrap_dim(c, c.i(1), c.in(0).ndim);
}

// Starts from argument 0, which may be where the result is. False: there is
// nothing to write, or an index is wrong, which is found before anything is
// written.
bool begin(OpCall& c) {
  const TensorImpl &x = c.out_impl(), &index = c.in(2);
  if (!c.in_place && x.bytes() != c.in(0).bytes()) strided_copy(c.in(0), x);
  if (index.numel == 0) return false;
  return Plan(x, dim_of(c), index, Dims(x.steps()), {}).positions.check(c);
}

void scatter(OpCall& c) {
  if (!begin(c)) return;
  const TensorImpl& x = c.out_impl();
  const Number number(c.args[3], x.dtype);
  const TensorImpl& source = c.is_tensor(3) ? c.in(3) : number;
  const Plan plan(x, dim_of(c), c.in(2), Dims(x.steps()), Dims(source.steps()));
  with_item(x.dtype, [&]<class T>(T) {
    T* to = x.ptr<T>();
    const T* from = source.ptr<T>();
    each(c, plan, [&](int64_t i, int64_t k) { to[i] = from[k]; });
  });
}

void scatter_add(OpCall& c) {
  if (!begin(c)) return;
  const TensorImpl& x = c.out_impl();
  with_sums(c, x, c.in(3), [&]<class T>(const Sums<T>& s) {
    const Plan plan(x, dim_of(c), c.in(2), s.sum_steps, s.term_steps);
    each(c, plan, [&](int64_t i, int64_t k) {
      s.sum[i] = wrapping_add(s.sum[i], s.terms[k]);
    });
  });
}

enum class Reduce { sum, prod, mean, amax, amin };

Reduce reduce_of(const OpCall& c) {
  const std::string_view name = c.str(4);
  return name == "sum"    ? Reduce::sum
         : name == "prod" ? Reduce::prod
         : name == "mean" ? Reduce::mean
         : name == "amax" ? Reduce::amax
                          : Reduce::amin;
}

// What changes nothing.
template <class T>
T identity(Reduce r) {
  using Limits = std::numeric_limits<T>;
  switch (r) {
    case Reduce::prod:
      return T{1};
    case Reduce::amax:
      return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
    case Reduce::amin:
      return Limits::has_infinity ? Limits::infinity() : Limits::max();
    default:
      return T{0};
  }
}

template <class T>
T divided(T sum, int64_t count) {
  if constexpr (std::is_integral_v<T>) {  // rounds down, as in torch
    const auto s = static_cast<int64_t>(sum);
    return static_cast<T>(s / count - (s % count < 0));
  } else {
    return static_cast<T>(sum / static_cast<double>(count));
  }
}

template <class T>
void reduce_into(OpCall& c, const Sums<T>& s, int64_t* count) {
  const TensorImpl& x = c.out_impl();
  const Reduce reduce = reduce_of(c);
  const bool include_self = c.b(5);
  const Plan plan(x, dim_of(c), c.in(2), s.sum_steps, s.term_steps);
  if (!include_self) {
    const T start = identity<T>(reduce);
    each(c, plan, [&](int64_t i, int64_t) { s.sum[i] = start; });
  }
  if (reduce == Reduce::prod) {
    each(c, plan, [&](int64_t i, int64_t k) {
      s.sum[i] = wrapping_mul(s.sum[i], s.terms[k]);
    });
  } else if (reduce == Reduce::amax || reduce == Reduce::amin) {
    const bool greatest = reduce == Reduce::amax;
    each(c, plan, [&](int64_t i, int64_t k) {
      const T a = s.sum[i], b = s.terms[k];
      // NaN wins.
      if ((greatest ? b > a : b < a) || b != b) s.sum[i] = b;
    });
  } else {
    each(c, plan, [&](int64_t i, int64_t k) {
      s.sum[i] = wrapping_add(s.sum[i], s.terms[k]);
    });
  }
  if (reduce != Reduce::mean) return;
  std::fill_n(count, x.numel, include_self ? 1 : 0);
  const Plan dense(x, dim_of(c), c.in(2), contiguous_strides(x.sizes()), {});
  each(c, dense, [&](int64_t i, int64_t) { ++count[i]; });
  Walk walk;
  for (int d = 0; d < x.ndim; ++d) walk.push(x.shape[d], s.sum_steps[d]);
  walk.seek(0);
  int64_t at[kTile];
  for (int64_t i = 0, n; i < x.numel; i += n) {
    n = std::min(kTile, x.numel - i);
    walk.next(n, at);
    for (int64_t k = 0; k < n; ++k) {
      if (count[i + k] > 1) s.sum[at[k]] = divided(s.sum[at[k]], count[i + k]);
    }
  }
}

void scatter_reduce(OpCall& c) {
  if (!begin(c)) return;
  auto* count = static_cast<int64_t*>(c.scratch);
  c.scratch = static_cast<char*>(c.scratch) + align64(c.in(0).numel * 8);
  with_sums(c, c.out_impl(), c.in(3), [&]<class T>(const Sums<T>& s) {
    // Complex numbers have no order: they are refused by infer.
    if constexpr (std::is_arithmetic_v<T>) reduce_into(c, s, count);
  });
}

}  // namespace
}  // namespace ferrule::cpu

namespace ferrule {

extern const KernelDef scatter_cpu = {
    .name = "scatter",
    .run = cpu::scatter,
    .contiguous = false,
    .over_input = true,
};
extern const KernelDef scatter_add_cpu = {
    .name = "scatter_add",
    .run = cpu::scatter_add,
    .contiguous = false,
    .scratch = [](const OpCall& c) { return cpu::sum_bytes(c.in(0), c.in(3)); },
    .over_input = true,
};
extern const KernelDef scatter_reduce_cpu = {
    .name = "scatter_reduce",
    .run = cpu::scatter_reduce,
    .contiguous = false,
    .scratch =
        [](const OpCall& c) {
          return cpu::align64(c.in(0).numel * 8) +
                 cpu::sum_bytes(c.in(0), c.in(3));
        },
    .over_input = true,
};

}  // namespace ferrule
