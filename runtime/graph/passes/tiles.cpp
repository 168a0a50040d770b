// Finds elementwise calls that can run together.
#include "runtime/graph/passes/tiles.h"

#include <algorithm>

namespace ferrule {
namespace {

// Calls of one program: more do not make the rest faster.
constexpr size_t kMaxCalls = 32;

class Finder {
 public:
  Finder(const BoundGraph& bound, std::span<const StateUpdate> updates,
         const std::vector<bool>& done)
      : bound_(bound),
        nodes_(bound.graph.nodes),
        uses_(bound.graph.values.size()),
        inside_(bound.graph.values.size()),
        maker_(bound.graph.values.size(), -1),
        writes_before_(nodes_.size() + 1),
        free_(nodes_.size()) {
    for (size_t n = 0; n < nodes_.size(); ++n) {
      const OpCall& c = bound.calls[n];
      const bool writing = writes(c.info, c.args);
      writes_before_[n + 1] = writes_before_[n] + writing;
      for (const NodeArg& a : nodes_[n].args) {
        if (a.tag == ArgTag::tensor) ++uses_[a.value];
        for (int32_t v : a.values) {
          if (v >= 0) ++uses_[v];
        }
      }
      if (done[n] || bound.controls[n] || writing || !takes(n)) continue;
      free_[n] = true;
      maker_[nodes_[n].outputs[0]] = static_cast<int32_t>(n);
    }
    for (int32_t v : bound.graph.outputs) ++uses_[v];
    for (const StateUpdate& u : updates) ++uses_[u.value];
  }

  // The last call of a program is found first: of those before it, all join
  // whose results nobody else reads.
  std::deque<TiledCalls> find() {
    for (auto n = static_cast<int32_t>(nodes_.size()) - 1; n >= 0; --n) {
      if (free_[n]) gather(n);
    }
    return std::move(found_);
  }

 private:
  bool takes(size_t n) const {
    // Numbers that change from run to run are not in the program.
    const auto changes = [](const NodeArg& a) {
      return a.tag == ArgTag::float_ && a.expr >= 0;
    };
    return std::ranges::none_of(nodes_[n].args, changes) &&
           cpu::TileProgram::takes(bound_.calls[n]);
  }

  void gather(int32_t tail) {
    std::vector<int32_t> group{tail};
    for (size_t i = 0; i < group.size(); ++i) {
      for (const NodeArg& a : nodes_[group[i]].args) {
        if (a.tag != ArgTag::tensor || ++inside_[a.value] < uses_[a.value]) {
          continue;
        }
        const int32_t n = maker_[a.value];
        if (group.size() < kMaxCalls && n >= 0 && joins(n, tail)) {
          group.push_back(n);
        }
      }
    }
    for (int32_t n : group) {
      for (const NodeArg& a : nodes_[n].args) {
        if (a.tag == ArgTag::tensor) inside_[a.value] = 0;
      }
    }
    std::ranges::sort(group);
    // What is dropped from the front is an operand of the others.
    for (size_t first = 0; first + 1 < group.size(); ++first) {
      if (keep(std::span(group).subspan(first))) return;
    }
  }

  bool joins(int32_t n, int32_t tail) const {
    return free_[n] &&
           // It will run later than it stands: nothing may be overwritten until
           // then.
           writes_before_[tail] == writes_before_[n] &&
           std::ranges::equal(bound_.calls[n].out_impl().sizes(),
                              bound_.calls[tail].out_impl().sizes());
  }

  bool keep(std::span<const int32_t> group) {
    std::vector<const OpCall*> calls;
    for (int32_t n : group) calls.push_back(&bound_.calls[n]);
    cpu::TileProgram program(calls);
    if (!program.fits()) return false;
    for (int32_t n : group) free_[n] = false;
    found_.push_back({{group.begin(), group.end()}, std::move(program)});
    return true;
  }

  const BoundGraph& bound_;
  const std::vector<Node>& nodes_;
  std::vector<int32_t> uses_, inside_;  // of values: readers, in the group too
  std::vector<int32_t> maker_;          // of values: a node that may join
  std::vector<int32_t> writes_before_;  // of nodes: writing ones before it
  std::vector<bool> free_;              // nodes that may join
  std::deque<TiledCalls> found_;
};

}  // namespace

std::deque<TiledCalls> find_tiles(const BoundGraph& bound,
                                  std::span<const StateUpdate> updates,
                                  const std::vector<bool>& done) {
  return Finder(bound, updates, done).find();
}

}  // namespace ferrule
