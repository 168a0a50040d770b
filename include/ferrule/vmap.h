// vmap: a function of one sample, run on a batch of them at once.
//
//   Vmap vmap(batch_size);
//   Tensor x = vmap.input(xs);        // xs: (batch, 3); x: (3), symbolic
//   Tensor y = op::softmax(x, -1);    // or any program of ops
//   Tensor ys = vmap.finish({y})[0].tensor;  // (batch, 3)
//
// The function runs once, on symbolic tensors of a sample's shape; then its
// graph is run on the whole batch, node by node, each op by its rule
// (OpDef::batch). Those are ops like all others: they are recorded, and go into
// the graph of an outer capture, which may be another vmap.
#pragma once

#include <string>
#include <vector>

#include "ferrule/batch.h"
#include "ferrule/capture.h"

namespace ferrule {

// What random ops do: fail, draw the same for all samples, or for each its own.
enum class Randomness : uint8_t { error, same, different };

class Vmap {
 public:
  explicit Vmap(Int batch_size, Randomness randomness = Randomness::error);
  Vmap(const Vmap&) = delete;

  // A sample of `batch`, whose dimension 0 counts them, as the function sees
  // it. If the function writes into it, finish() writes into `batch`.
  Tensor input(const Tensor& batch);
  // What the function returned, for the whole batch.
  std::vector<Batched> finish(const std::vector<Tensor>& outputs);
  // Does it run within another capture?
  bool is_nested() const { return capture_.device().index > 0; }
  // Ends it without a result.
  void abandon() { capture_.abandon(); }

  // Ops that finish() had to run sample by sample.
  const std::vector<const char*>& one_by_one() const { return one_by_one_; }

 private:
  class Replay;
  const Int size_;
  const Randomness randomness_;
  Program program_;
  Capture capture_;
  struct Input {
    Tensor batch;
    int32_t value;
  };
  std::vector<Input> inputs_;
  std::vector<const char*> one_by_one_;
};

}  // namespace ferrule
