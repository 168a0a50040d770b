// Batching: how an op computes many samples at once (OpDef::batch), for vmap.
#pragma once

#include <utility>
#include <vector>

#include "ferrule/op.h"

namespace ferrule {

// A tensor that has the samples along dimension 0, or is the same for all.
struct Batched {
  Tensor tensor;
  bool batched = false;
};

// What a batching rule sees: a call of the op for one sample, but with tensors
// of the whole batch. It changes the arguments so that one call does it, and
// returns run(). A result without tensors says that the rule has no way for
// these arguments; they must be as they were then.
//
// Results have the samples along dimension 0; their shape need not be exact, as
// long as the order of the elements is: it is known from the capture.
struct Batch {
  Batch(const OpInfo& info, Int size) : info(info), size(size) {}
  Batch(const Batch&) = delete;

  const OpInfo& info;
  const Int size;  // number of samples
  // The arguments: tensors in `in` and `list`, lists of integers in `ints`,
  // everything else in `args`.
  Arg args[kMaxArgs];
  Batched in[kMaxArgs];
  std::vector<Batched> list[kMaxArgs];
  std::vector<Int> ints[kMaxArgs];

  bool has(int i) const { return static_cast<bool>(in[i].tensor); }
  bool batched(int i) const { return in[i].batched; }
  // Rank and sizes for one sample.
  int ndim(int i) const { return in[i].tensor.ndim() - in[i].batched; }
  Int dim(int i, int d) const;
  IntList sizes(int i) const;

  // The argument with the samples in front: (size, *sizes), repeated if it is
  // the same for all.
  Tensor whole(int i) const { return whole(in[i]); }
  Tensor whole(const Batched& t) const;
  // The same with ones behind the samples, up to `ndim` dimensions of a sample;
  // what is the same for all stays as it is and broadcasts.
  Tensor aligned(int i, int ndim) const { return aligned(in[i], ndim); }
  Tensor aligned(const Batched& t, int ndim) const;
  // The same with the samples within dimension d of a sample, sample by sample:
  // (.., size * sizes[d], ..). Samples of (N, C, H, W) are images, or channels.
  Tensor within(int i, int d) const;
  // Takes a result of within() apart: (size, ..).
  Tensor apart(const Tensor& t, int d) const;

  void set(int i, Tensor t) { in[i] = {std::move(t), true}; }
  Results run() const;
  Results decomposed() const;

 private:
  template <class Call>
  Results with_arguments(const Call& call) const;
};

// --- rules that ops share

// A dimension of a sample, counted in the batch.
inline Int shifted(Int dim) { return dim.value < 0 ? dim : dim + 1; }

// Broadcasts: ranks are aligned. Ops with such a kernel have it without a word.
Results batch_elementwise(Batch& b);
// Nothing to do: leading dimensions of all tensors are a batch anyhow.
Results batch_leading(Batch& b);
// All tensors have the same dimensions; parameters named dim... count them, and
// None means all; lists named size, shape or input_size are sizes of all.
Results batch_dims(Batch& b);
// Samples are more of what dimension 0 counts, images for example; input_size
// is one of theirs.
Results batch_first_dim(Batch& b);

}  // namespace ferrule
