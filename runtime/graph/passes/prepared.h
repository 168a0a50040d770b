// What passes make of a program's constants, once for all of its sessions. All
// is made at first use and kept as long as anybody keeps the store.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "ferrule/program.h"
#include "runtime/graph/bound_graph.h"

namespace ferrule {

// `t` looks into the storage of `with`; its offset stays.
void share_memory(TensorImpl& t, const TensorImpl& with);

class PreparedWeights {
 public:
  explicit PreparedWeights(std::shared_ptr<const Program> program)
      : program_(std::move(program)) {}
  // That of a program: one as long as anybody keeps it.
  static std::shared_ptr<PreparedWeights> of(
      const std::shared_ptr<const Program>& program);

  // Pass "prepare": constant `index`, argument PrepareDef::arg of the call, in
  // the form in which its kernel reads it, or null if that is as it stands. The
  // file's pages that a form replaces are given back to the system, which reads
  // them again if need be. Thread-safe. Throws MemoryError.
  const void* form(const OpCall& call, int32_t index);

  // Pass "fold": the results of a node that depends on constants alone, whose
  // first one is `value` of graph `graph`. Thread-safe. Throws MemoryError, and
  // what the kernel finds wrong in the data.
  const std::vector<Tensor>& results(OpCall& call, int32_t graph,
                                     int32_t value);

 private:
  std::shared_ptr<const Program> program_;
  std::mutex mutex_;
  std::map<std::pair<int32_t, const PrepareDef*>, Tensor> forms_;  // bytes
  std::map<std::pair<int32_t, int32_t>, std::vector<Tensor>> results_;
};

}  // namespace ferrule
