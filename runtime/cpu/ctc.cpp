// CPU kernels of connectionist temporal classification: the forward-backward
// algorithm of Graves et al. (2006), on logarithms in double precision.
//
// A target of n labels has 2 n + 1 states: a blank before, between and behind
// the labels. From a state one may stay, go to the next one, or leave out a
// blank between two labels that differ.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "ferrule/op.h"
#include "runtime/core/thread_pool.h"
#include "runtime/cpu/rows.h"

namespace ferrule {
namespace cpu {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

// log(exp(a) + exp(b) + exp(c)). The greatest is taken out; most calls have a
// term that is 0, whose exponential need not be computed either.
double log_add(double a, double b, double c) {
  if (b > a) std::swap(a, b);
  if (c > a) std::swap(a, c);
  if (a == kNever) return a;
  double sum = 1;
  if (b != kNever) sum += std::exp(b - a);
  if (c != kNever) sum += std::exp(c - a);
  return a + std::log(sum);
}

// One sequence of the batch.
template <class T>
class Sequence {
 public:
  // The arguments log_probs, targets, input_lengths, target_lengths and blank
  // stand from `first` on; lengths and labels have been checked.
  Sequence(const OpCall& c, int first, int64_t n)
      : classes_(c.in(first).shape[2]),
        step_(c.in(first).shape[1] * classes_),
        frames_(c.in(first + 2).ptr<int64_t>()[n]),
        labels_(c.in(first + 3).ptr<int64_t>()[n]),
        blank_(c.i(first + 4)),
        log_probs_(c.in(first).ptr<T>() + n * classes_),
        targets_(c.in(first + 1).ptr<int64_t>() +
                 n * c.in(first + 1).shape[1]) {}

  int64_t frames() const { return frames_; }
  int64_t states() const { return 2 * labels_ + 1; }
  int64_t label(int64_t s) const {
    return s % 2 == 0 ? blank_ : targets_[s / 2];
  }
  double emission(int64_t t, int64_t s) const {
    return log_probs_[t * step_ + label(s)];
  }
  // May state s be entered from s - 2?
  bool leaps(int64_t s) const {
    return s % 2 == 1 && s > 1 && label(s) != label(s - 2);
  }

  // The probability of the first frame and a state.
  void start(double* alpha) const {
    std::fill_n(alpha, states(), kNever);
    alpha[0] = emission(0, 0);
    if (states() > 1) alpha[1] = emission(0, 1);
  }
  // The same of the frames up to t, from that of the frames before. The first
  // states, from which the end cannot be reached any more, are left out.
  void advance(int64_t t, const double* before, double* alpha) const {
    const int64_t first =
        std::clamp<int64_t>(states() - 2 * (frames_ - t), 0, states());
    std::fill_n(alpha, first, kNever);
    for (int64_t s = first; s < states(); ++s) {
      const double stayed = before[s];
      const double moved = s > 0 ? before[s - 1] : kNever;
      const double leapt = leaps(s) ? before[s - 2] : kNever;
      alpha[s] = emission(t, s) + log_add(stayed, moved, leapt);
    }
  }
  // The probability of the frames behind the last one: 1 in the final states.
  void finish(double* beta) const {
    std::fill_n(beta, states(), kNever);
    beta[states() - 1] = 0;
    if (states() > 1) beta[states() - 2] = 0;
  }
  // The same of the frames from t + 1 on, given the state at t.
  void retreat(int64_t t, const double* after, double* beta) const {
    const auto from = [&](int64_t s) { return after[s] + emission(t + 1, s); };
    for (int64_t s = 0; s < states(); ++s) {
      const bool leap = s + 2 < states() && leaps(s + 2);
      beta[s] = log_add(from(s), s + 1 < states() ? from(s + 1) : kNever,
                        leap ? from(s + 2) : kNever);
    }
  }
  double total(const double* alpha) const {
    const double before = states() > 1 ? alpha[states() - 2] : kNever;
    return log_add(alpha[states() - 1], before, kNever);
  }

 private:
  int64_t classes_, step_, frames_, labels_, blank_;
  const T* log_probs_;
  const int64_t* targets_;
};

// Reports what is wrong in the data; true when something is.
bool report_data(OpCall& c, int first) {
  const TensorImpl &x = c.in(first), &targets = c.in(first + 1);
  const int64_t frames = x.shape[0], batch = x.shape[1], classes = x.shape[2];
  const int64_t longest = targets.shape[1];
  for (int64_t n = 0; n < batch; ++n) {
    const int64_t used = c.in(first + 2).ptr<int64_t>()[n];
    const int64_t labels = c.in(first + 3).ptr<int64_t>()[n];
    if (used < 0 || used > frames) {
      c.report("an input length is {}, but log_probs has {} frames", used,
               frames, ErrorKind::value);
      return true;
    }
    if (labels < 0 || labels > longest) {
      c.report("a target length is {}, but targets has room for {} labels",
               labels, longest, ErrorKind::value);
      return true;
    }
    const int64_t* row = targets.ptr<int64_t>() + n * longest;
    for (int64_t k = 0; k < labels; ++k) {
      if (row[k] >= 0 && row[k] < classes) continue;
      c.report("label {} is out of range; valid: 0..{}", row[k], classes - 1,
               ErrorKind::index);
      return true;
    }
  }
  return false;
}

int64_t row_length(const OpCall& c, int first) {
  return 2 * c.in(first + 1).shape[1] + 1;
}

// Two rows of states a sequence.
int64_t forward_scratch(const OpCall& c) {
  return c.in(0).shape[1] * 2 * row_length(c, 0) * sizeof(double);
}

template <class T>
void forward(OpCall& c) {
  const int64_t row = row_length(c, 0);
  parallel_for(c.in(0).shape[1], 1, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const Sequence<T> sequence(c, 0, n);
      double* alpha = static_cast<double*>(c.scratch) + n * 2 * row;
      double* next = alpha + row;
      T* out = c.outs[0]->ptr<T>() + n;
      if (sequence.frames() == 0) {
        *out = sequence.states() == 1 ? T(0) : static_cast<T>(-kNever);
        continue;
      }
      sequence.start(alpha);
      for (int64_t t = 1; t < sequence.frames(); ++t) {
        sequence.advance(t, alpha, next);
        std::swap(alpha, next);
      }
      *out = static_cast<T>(-sequence.total(alpha));
    }
  });
}

// A row of states for every frame, and two.
int64_t backward_scratch(const OpCall& c) {
  const int64_t rows = c.in(1).shape[0] + 2;
  return c.in(1).shape[1] * rows * row_length(c, 1) * sizeof(double);
}

// The derivative for the logarithm of a label's probability is minus the share
// of the alignments that have it at that frame.
template <class T>
void backward(OpCall& c) {
  const TensorImpl& x = c.in(1);
  const int64_t frames = x.shape[0], batch = x.shape[1], classes = x.shape[2];
  const int64_t row = row_length(c, 1);
  T* out = c.outs[0]->ptr<T>();
  std::fill_n(out, x.numel, T(0));
  parallel_for(batch, 1, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const Sequence<T> sequence(c, 1, n);
      const double grad = c.in(0).ptr<T>()[n];
      const int64_t used = sequence.frames();
      if (grad == 0 || used == 0) continue;
      double* alpha = static_cast<double*>(c.scratch) + n * (frames + 2) * row;
      double* beta = alpha + frames * row;
      double* next = beta + row;
      sequence.start(alpha);
      for (int64_t t = 1; t < used; ++t) {
        sequence.advance(t, alpha + (t - 1) * row, alpha + t * row);
      }
      const double total = sequence.total(alpha + (used - 1) * row);
      sequence.finish(beta);
      for (int64_t t = used - 1;; --t) {
        T* at = out + (t * batch + n) * classes;
        for (int64_t s = 0; s < sequence.states(); ++s) {
          const double share = std::exp(alpha[t * row + s] + beta[s] - total);
          at[sequence.label(s)] -= static_cast<T>(grad * share);
        }
        if (t == 0) break;
        sequence.retreat(t - 1, beta, next);
        std::swap(beta, next);
      }
    }
  });
}

void forward_kernel(OpCall& c) {
  if (report_data(c, 0)) return;
  c.compute == DType::f64 ? forward<double>(c) : forward<float>(c);
}

void backward_kernel(OpCall& c) {
  if (report_data(c, 1)) return;
  c.compute == DType::f64 ? backward<double>(c) : backward<float>(c);
}

}  // namespace
}  // namespace cpu

extern const KernelDef ctc_terms_cpu = {
    .name = "ctc_terms",
    .run = cpu::forward_kernel,
    .scratch = cpu::forward_scratch,
};
extern const KernelDef ctc_terms_backward_cpu = {
    .name = "ctc_terms_backward",
    .run = cpu::backward_kernel,
    .scratch = cpu::backward_scratch,
};

}  // namespace ferrule
