// What ops know of algebra: a call in a graph whose result is a value that is
// there already, or that may read something else, with every bit of the result
// the same. (But that no arithmetic makes a signalling NaN quiet then.)
//
//   extern const OpDef relu_op = {.name = "relu", ..., .simplify = idempotent};
#pragma once

#include "ferrule/program.h"

namespace ferrule {

struct Simplify {
  const Graph& graph;
  Node& node;  // may be changed: the same op on other arguments
  const std::vector<const Node*>& maker;  // of values; null: none
  int32_t same_as = -1;                   // the value that the result is

  const NodeArg& arg(int i) const { return node.args[i]; }
  bool is_number(int i, double wanted) const;  // 0 is not -0
  DType dtype_of(int32_t value) const { return graph.values[value].dtype; }
  // The node of the same op that made argument 0; null: another op made it.
  const Node* same_op() const;
  // Do the arguments but the first agree with those of `other`?
  bool same_rest(const Node& other) const;
  // The result is this value if that has the result's dtype.
  void be(int32_t value);
};

// f(f(x)) is f(x).
void idempotent(Simplify& s);
// f(f(x)) is x.
void involution(Simplify& s);
// f(f(x, anything), y) is f(x, y).
void last_counts(Simplify& s);
// f(x) is x.
void identity(Simplify& s);

// x * 1, x - 0: f(x, neutral) is x.
template <int neutral>
void neutral_number(Simplify& s) {
  if (s.is_number(1, neutral)) identity(s);
}

// As text: everything that the argument says.
std::string text_of(const NodeArg& a);

}  // namespace ferrule
