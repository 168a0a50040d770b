// Finds where two runs of a model part: node by node, in order.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ferrule/session.h"

namespace ferrule {

// "" if a signature's graphs are the same in both programs but for weights and
// sizes: the same ops with the same arguments, in the same order. Otherwise the
// first node that differs, and how.
std::string graph_difference(const Program& a, const Program& b,
                             std::string_view signature);

struct ComparedRun {
  std::shared_ptr<const Program> program;
  SessionOptions options;
  // Called before each run: to set the number of threads and the like.
  std::function<void()> prepare = [] {};
};

struct ValueDifference {
  std::string what;         // "node conv2d -> '%7'", "result 'y'", "state 'w'"
  std::string where;        // the node's module and source line
  int64_t step = 0;         // how often it had run before, in a loop
  std::vector<int64_t> at;  // the first element that differs
  double a = 0, b = 0;      // its values
  int64_t count = 0, elements = 0;  // how many differ, and of how many
  double apart = 0;                 // the furthest
  std::string text;                 // all of it
};

// The first value that differs by more than `tolerance`, as find_difference
// counts it; results and state come after all nodes. Values that only one side
// has, because passes left them out, are not compared. Both start from their
// program's state. At most about `memory` bytes of values are kept at a time: a
// model with more runs several times.
std::optional<ValueDifference> first_difference(const ComparedRun& a,
                                                const ComparedRun& b,
                                                std::string_view signature,
                                                std::span<const Tensor> inputs,
                                                double tolerance,
                                                int64_t memory = 512 << 20);

}  // namespace ferrule
