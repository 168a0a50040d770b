// Finds what can follow a convolution or matrix product.
#include "runtime/graph/passes/epilogues.h"

#include <algorithm>

namespace ferrule {
namespace {

class Finder {
 public:
  Finder(BoundGraph& bound, std::span<const StateUpdate> updates,
         std::vector<bool> done)
      : bound_(bound),
        nodes_(bound.graph.nodes),
        uses_(bound.graph.values.size()),
        reader_(bound.graph.values.size(), -1),
        writes_before_(nodes_.size() + 1),
        taken_(std::move(done)) {
    for (size_t n = 0; n < nodes_.size(); ++n) {
      const OpCall& c = bound.calls[n];
      writes_before_[n + 1] = writes_before_[n] + writes(c.info, c.args);
      for (const NodeArg& a : nodes_[n].args) {
        if (a.tag == ArgTag::tensor) use(a.value, static_cast<int32_t>(n));
        for (int32_t v : a.values) {
          if (v >= 0) use(v, -1);
        }
      }
    }
    for (int32_t v : bound.graph.outputs) use(v, -1);
    for (const StateUpdate& u : updates) use(u.value, -1);
  }

  std::deque<FusedCalls> find() {
    for (size_t n = 0; n < nodes_.size(); ++n) {
      const auto head = static_cast<int32_t>(n);
      if (!taken_[n] && is_head(bound_.calls[n])) extend(head);
    }
    return std::move(found_);
  }

 private:
  // `reader`: -1 where it is no node that could join.
  void use(int32_t value, int32_t reader) {
    ++uses_[value];
    reader_[value] = reader;
  }

  static bool is_head(const OpCall& c) {
    const KernelDef* k = c.info.cpu;
    return k && k->has_epilogue && c.out_impl().dtype == DType::f32 &&
           c.out_impl().numel > 0 && k->has_epilogue(c);
  }

  void extend(int32_t head) {
    FusedCalls& f = found_.emplace_back(FusedCalls{head, {}, {}});
    for (int32_t last = head, next; (next = follower(f, last)) >= 0;
         last = next) {
      f.joined.push_back(next);
      taken_[next] = true;
    }
    if (f.joined.empty()) return found_.pop_back();
    bound_.calls[head].epilogue = &f.epilogue;
  }

  // The node that joins after node `last`, or -1.
  int32_t follower(FusedCalls& f, int32_t last) {
    const int32_t value = nodes_[last].outputs[0];
    const int32_t n = reader_[value];
    if (uses_[value] != 1 || n < 0 || taken_[n]) return -1;
    // The head will run later than it stands: nothing may be overwritten until
    // then.
    if (writes_before_[n + 1] > writes_before_[last + 1]) return -1;
    const OpCall& c = bound_.calls[n];
    const KernelDef* k = c.info.cpu;
    if (!k || !k->join || c.alias[0] >= 0) return -1;
    for (size_t i = 1; i < nodes_[n].outputs.size(); ++i) {
      if (uses_[nodes_[n].outputs[i]] > 0) return -1;
    }
    if (!std::ranges::equal(c.out_impl().sizes(),
                            bound_.calls[f.head].out_impl().sizes())) {
      return -1;
    }
    const auto& args = nodes_[n].args;
    const auto arg = std::ranges::find_if(args, [&](const NodeArg& a) {
      return a.tag == ArgTag::tensor && a.value == value;
    });
    const auto index = static_cast<int>(arg - args.begin());
    return k->join(c, index, f.epilogue) ? n : -1;
  }

  BoundGraph& bound_;
  const std::vector<Node>& nodes_;
  std::vector<int32_t> uses_, reader_;  // of values
  std::vector<int32_t> writes_before_;  // of nodes: writing ones before it
  std::vector<bool> taken_;             // nodes
  std::deque<FusedCalls> found_;
};

}  // namespace

std::deque<FusedCalls> fuse_epilogues(BoundGraph& bound,
                                      std::span<const StateUpdate> updates,
                                      std::vector<bool> done) {
  return Finder(bound, updates, std::move(done)).find();
}

}  // namespace ferrule
