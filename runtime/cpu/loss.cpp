// CPU kernels of cross_entropy and its gradient: one pass over the rows.
#include <algorithm>
#include <cstring>

#include "runtime/cpu/rows.h"
#include "runtime/cpu/softmax.h"

namespace ferrule {
namespace cpu {
namespace {

enum class Averaging : uint8_t { none, mean, sum };

// The arguments of both ops; `first` is where `input` stands.
class Loss {
 public:
  Loss(const OpCall& c, int first)
      : c_(c),
        first_(first),
        plan_(c.in(first).sizes(), c.in(first).ndim > 1 ? 1 : 0,
              compute_type(c.compute)) {}

  const RowPlan& plan() const { return plan_; }
  const TensorImpl& input() const { return c_.in(first_); }
  const TensorImpl& target() const { return c_.in(first_ + 1); }
  bool has_indices() const { return is_integer(target().dtype); }
  int64_t ignored() const { return c_.i(first_ + 3); }
  double smoothing() const { return c_.f(first_ + 5); }
  Averaging averaging() const {
    const auto name = c_.str(first_ + 4);
    return name == "none"   ? Averaging::none
           : name == "mean" ? Averaging::mean
                            : Averaging::sum;
  }

  // Scratch: class weights, class indices, numbers a row, rows.
  int64_t weight_bytes() const { return align64(plan_.length * 8); }
  int64_t row_bytes() const { return align64((plan_.rows + 1) * 8); }
  int64_t scratch_bytes(int tensors) const {
    const bool same = input().dtype == plan_.dtype &&
                      (has_indices() || target().dtype == plan_.dtype);
    return weight_bytes() + 3 * row_bytes() +
           plan_.scratch_bytes(tensors, same);
  }
  char* scratch(int64_t row_buffers) const {
    return static_cast<char*>(c_.scratch) + weight_bytes() +
           row_buffers * row_bytes();
  }

  // Class weights in the arithmetic's dtype; null: all 1.
  const void* weights() const {
    return c_.is_tensor(first_ + 2)
               ? dense_values(c_.in(first_ + 2), plan_.dtype, c_.scratch)
               : nullptr;
  }
  const int64_t* indices() const {
    return has_indices() ? static_cast<const int64_t*>(
                               dense_values(target(), DType::i64, scratch(0)))
                         : nullptr;
  }

 private:
  const OpCall& c_;
  int first_;
  RowPlan plan_;
};

double value_at(const void* values, int64_t i, DType t) {
  return t == DType::f32 ? static_cast<const float*>(values)[i]
                         : static_cast<const double*>(values)[i];
}

void add_at(void* values, int64_t i, double by, DType t) {
  if (t == DType::f32) {
    static_cast<float*>(values)[i] += static_cast<float>(by);
  } else {
    static_cast<double*>(values)[i] += by;
  }
}

// The weight of the row's class; 0 for a row that is ignored. A class that does
// not exist is reported and ignored.
double index_weight(OpCall& c, const Loss& loss, int64_t index,
                    const void* weights) {
  if (index == loss.ignored()) return 0;
  const int64_t classes = loss.plan().length;
  if (index < 0 || index >= classes) {
    c.report("target {} is not a class; valid: 0..{} (or ignore_index)", index,
             classes - 1);
    return 0;
  }
  return weights ? value_at(weights, index, loss.plan().dtype) : 1;
}

bool counts(const Loss& loss, int64_t index) {
  return index != loss.ignored() && index >= 0 && index < loss.plan().length;
}

// What the classes get beside the row's own one.
ClassTargets shares_of(const Loss& loss, const void* target,
                       const void* weights) {
  return {target, weights, 1 - loss.smoothing(),
          loss.smoothing() / static_cast<double>(loss.plan().length)};
}

// By what the sum of the losses is divided; row_weights: of class indices.
double divisor(const Loss& loss, const double* row_weights) {
  if (loss.averaging() != Averaging::mean) return 1;
  if (!row_weights) return static_cast<double>(loss.plan().rows);
  double total = 0;
  for (int64_t i = 0; i < loss.plan().rows; ++i) total += row_weights[i];
  return total;
}

double* find_row_weights(OpCall& c, const Loss& loss, const int64_t* indices,
                         const void* weights) {
  if (!indices) return nullptr;
  auto* row_weights = reinterpret_cast<double*>(loss.scratch(1));
  for (int64_t i = 0; i < loss.plan().rows; ++i) {
    row_weights[i] = index_weight(c, loss, indices[i], weights);
  }
  return row_weights;
}

int64_t forward_scratch(const OpCall& c) { return Loss(c, 0).scratch_bytes(3); }

void forward_kernel(OpCall& c) {
  const Loss loss(c, 0);
  const RowPlan& plan = loss.plan();
  const void* weights = loss.weights();
  const int64_t* indices = loss.indices();
  const double* row_weights = find_row_weights(c, loss, indices, weights);
  auto* losses = reinterpret_cast<double*>(loss.scratch(2));
  const auto total_of = FE_BEST(log_sum_exp_row);
  const auto entropy_of = FE_BEST(cross_entropy_row);

  const TensorImpl* in[] = {&loss.input(), indices ? nullptr : &loss.target()};
  each_row(plan, nullptr, in, loss.scratch(3), [&](const Row& row) {
    double& result = losses[row.index];
    result = 0;
    if (indices && !counts(loss, indices[row.index])) return;
    const void* x = row.in[0];
    const LogSumExp total = total_of(x, plan.length, plan.dtype);
    const ClassTargets shares = shares_of(loss, row.in[1], weights);
    if (!indices || loss.smoothing() != 0) {
      result = entropy_of(x, shares, total, plan.length, plan.dtype);
    }
    if (indices) {
      const double own = value_at(x, indices[row.index], plan.dtype);
      result += shares.scale * row_weights[row.index] *
                (total.max - own + total.log_sum);
    }
  });

  const TensorImpl& out = c.out_impl();
  const Route route(DType::f64, out.dtype);
  const auto write = [&](const double* values, int64_t n) {
    for (int64_t i = 0; i < n; i += kTile) {
      const int64_t step = std::min(kTile, n - i);
      char* to = out.bytes() + i * itemsize(out.dtype);
      if (route.n == 0) {
        std::memcpy(to, values + i, step * sizeof(double));
      } else {
        route.convert(to, values + i, step);
      }
    }
  };
  if (loss.averaging() == Averaging::none) return write(losses, plan.rows);
  double total = 0;
  for (int64_t i = 0; i < plan.rows; ++i) total += losses[i];
  total /= divisor(loss, row_weights);
  write(&total, 1);
}

int64_t backward_scratch(const OpCall& c) {
  return Loss(c, 1).scratch_bytes(3);
}

void backward_kernel(OpCall& c) {
  const Loss loss(c, 1);
  const RowPlan& plan = loss.plan();
  const void* weights = loss.weights();
  const int64_t* indices = loss.indices();
  const double* row_weights = find_row_weights(c, loss, indices, weights);
  const double by = 1 / divisor(loss, row_weights);
  const auto* grads = static_cast<const double*>(
      dense_values(c.in(0), DType::f64, loss.scratch(2)));
  const bool one_grad = loss.averaging() != Averaging::none;
  const auto total_of = FE_BEST(log_sum_exp_row);
  const auto shares_in = FE_BEST(class_share_row);
  const auto gradient_of = FE_BEST(cross_entropy_backward_row);
  const double spread =
      shares_in(shares_of(loss, nullptr, weights), plan.length, plan.dtype);

  const TensorImpl* in[] = {&loss.input(), indices ? nullptr : &loss.target()};
  each_row(plan, &c.out_impl(), in, loss.scratch(3), [&](const Row& row) {
    if (indices && !counts(loss, indices[row.index])) {
      std::memset(row.out, 0, plan.length * itemsize(plan.dtype));
      return;
    }
    const void* x = row.in[0];
    const ClassTargets shares = shares_of(loss, row.in[1], weights);
    const LogSumExp total = total_of(x, plan.length, plan.dtype);
    const double scale = by * grads[one_grad ? 0 : row.index];
    const double own = indices ? shares.scale * row_weights[row.index] : 0;
    const double all =
        indices ? spread + own : shares_in(shares, plan.length, plan.dtype);
    gradient_of(row.out, x, shares, total, all, scale, plan.length, plan.dtype);
    if (indices) add_at(row.out, indices[row.index], -own * scale, plan.dtype);
  });
}

}  // namespace
}  // namespace cpu

extern const KernelDef cross_entropy_cpu = {
    .name = "cross_entropy",
    .run = cpu::forward_kernel,
    .scratch = cpu::forward_scratch,
};
extern const KernelDef cross_entropy_backward_cpu = {
    .name = "cross_entropy_backward",
    .run = cpu::backward_kernel,
    .scratch = cpu::backward_scratch,
};

}  // namespace ferrule
