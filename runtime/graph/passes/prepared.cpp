// Forms of weights and results of constant nodes, kept per program.
#include "runtime/graph/passes/prepared.h"

#include "runtime/format/source.h"

namespace ferrule {

void share_memory(TensorImpl& t, const TensorImpl& with) {
  retain(with.storage);
  if (t.storage) release(t.storage);
  t.storage = with.storage;
}

std::shared_ptr<PreparedWeights> PreparedWeights::of(
    const std::shared_ptr<const Program>& program) {
  // Who keeps an entry keeps the program, so that no other has its address.
  static std::mutex mutex;
  static std::map<const Program*, std::weak_ptr<PreparedWeights>> known;
  std::lock_guard lock(mutex);
  std::erase_if(known,
                [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<PreparedWeights>& entry = known[program.get()];
  std::shared_ptr<PreparedWeights> found = entry.lock();
  if (!found) {
    found = std::make_shared<PreparedWeights>(program);
    entry = found;
  }
  return found;
}

const void* PreparedWeights::form(const OpCall& call, int32_t index) {
  const PrepareDef& def = *call.info.cpu->prepare;
  const int64_t bytes = def.bytes(call);
  if (bytes <= 0) return nullptr;
  std::lock_guard lock(mutex_);
  Tensor& form = forms_[{index, &def}];
  if (!form) {
    form = Tensor::empty({bytes}, DType::u8);
    def.run(call, form->bytes());
    if (program_->source) program_->source->release_pages(call.in(def.arg));
  }
  return form->bytes();
}

const std::vector<Tensor>& PreparedWeights::results(OpCall& call, int32_t graph,
                                                    int32_t value) {
  std::lock_guard lock(mutex_);
  std::vector<Tensor>& kept = results_[{graph, value}];
  if (!kept.empty()) return kept;
  // The kernel writes through the call's own headers, as it does in a run.
  std::vector<Tensor> made;
  for (int i = 0; i < call.nouts; ++i) {
    Tensor& t = made.emplace_back();
    if (call.alias[i] >= 0) continue;
    t = Tensor::empty(call.outs[i]->sizes(), call.outs[i]->dtype);
    share_memory(*call.outs[i], *t.impl());
  }
  Workspace scratch;
  run_cpu_kernel(call, scratch.reserve(workspace_bytes(call)));
  kept = std::move(made);
  return kept;
}

}  // namespace ferrule
