// Control flow. These ops stand in graphs only: each runs other graphs of the
// program, and the executor is what runs them (runtime/graph/control.h). In
// Python, fe.cond and its relatives call the functions they are given, and
// while capturing write down such a node.
#include "ferrule/op.h"

namespace ferrule {

// Graphs: what to do if `predicate`, one element, is true, and if not. Both
// take `operands` and give results of the same types.
extern const OpDef cond_op = {
    .name = "cond",
    .sig = "predicate: Tensor, operands: Tensor[]",
    .where = kInternal,
    .runs_graphs = true,
};

// Graphs: whether to go on, and a step; both take `carry` and `consts`. The
// step gives the next carry, of the same types. The results are the last carry.
extern const OpDef while_loop_op = {
    .name = "while_loop",
    .sig = "carry: Tensor[], consts: Tensor[]",
    .where = kInternal,
    .runs_graphs = true,
};

// Graph: a step, which takes `carry`, `consts` and a slice of each of `xs`
// along its first dimension, and gives the next carry and further results. The
// results are the last carry, and the further ones of all steps, stacked.
extern const OpDef scan_op = {
    .name = "scan",
    .sig = "carry: Tensor[], consts: Tensor[], xs: Tensor[], length: int, "
           "reverse: bool",
    .where = kInternal,
    .runs_graphs = true,
};

}  // namespace ferrule
