// Program: what a `.fer` file holds, in memory. Capture writes it, the writer
// and reader move it to and from files, the executor runs it.
//
// A Graph is a list of nodes in execution order over numbered values. A value
// is produced once: by the caller (input), by the file (constant, state) or by
// one node. An op that writes into an argument (`Tensor!` in its signature)
// yields a new value for it, `alias_of` the old one: dataflow for whoever reads
// the graph, the same memory when it runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ferrule/op.h"

namespace ferrule {

// A size that is chosen at run time, with the range promised for it.
struct Symbol {
  std::string name;
  int64_t min = 0;
  int64_t max = kMaxNumel;
  int64_t multiple = 1;
  // Given by another: factor * symbols[of] + offset. -1: free.
  int32_t of = -1;
  int64_t factor = 1, offset = 0;
};

// Integer expression over sizes; operands are indices of earlier expressions.
struct Expr {
  enum class Kind : uint8_t { constant, size, op };
  Kind kind = Kind::constant;
  IntOp op = IntOp::add;
  int32_t a = -1, b = -1;  // op: operands; size: value id and dimension
  int64_t value = 0;       // constant: itself; otherwise: at capture
};

struct DimSpec {
  int64_t value = 0;    // at capture; of a fixed dimension: always
  int32_t symbol = -1;  // index into Program::symbols; -1: see `fixed`
  bool fixed = true;    // false: follows from the inputs, found by infer
};

enum class ValueRole : uint8_t { input, constant, state, temp };

struct Value {
  std::string name;  // unique where not empty
  DType dtype = DType::f32;
  std::vector<DimSpec> dims;
  ValueRole role = ValueRole::temp;
  int32_t constant = -1;  // roles constant and state: Program::constants
  int32_t alias_of = -1;  // written in place over this value
};

// Argument of a node; `n` and the number as in Arg, tensors as value ids.
struct NodeArg {
  ArgTag tag = ArgTag::none;
  // int_: expression. float_: number of a run (CompiledGraph::run); not in
  // files.
  int32_t expr = -1;
  union {
    int64_t i;
    double f;
    bool b;
    DType dtype;
    Device device;
    int32_t value;  // tensor
  };
  const char* str = nullptr;    // interned
  std::vector<Int> ints;        // ints
  std::vector<int32_t> values;  // tensors; -1: none

  NodeArg() : i(0) {}
};

struct Node {
  const OpDef* op = nullptr;
  std::vector<NodeArg> args;  // one a parameter of the signature
  // Results of the op, then, if the call writes (see `writes` in op.h), the new
  // value of each tensor it was given for a `Tensor!` parameter, in order of
  // the parameters (lists element by element).
  std::vector<int32_t> outputs;
  // Control flow: the graphs it runs, by index of Program::graphs, all before
  // the one that it stands in. See runtime/graph/control.h.
  std::vector<int32_t> regions;
  std::string where;  // module path and source line, for messages
};

struct Graph {
  std::string name;
  std::vector<Value> values;
  std::vector<Node> nodes;
  std::vector<Expr> exprs;
  std::vector<int32_t> inputs;   // value ids
  std::vector<int32_t> outputs;  // value ids
};

// Weights, buffers, optimizer slots.
struct Constant {
  std::string name;  // "model.conv1.weight", "optimizer.exp_avg.0"; unique
  Tensor data;       // contiguous, on the CPU; mapped from the file when loaded
  bool trainable = false;
};

struct StateUpdate {
  int32_t constant = -1;
  int32_t value = -1;  // final value, of the signature's graph
};

struct Signature {
  std::string key;  // "forward", "train_step", ...
  int32_t graph = 0;
  std::vector<std::string> inputs;   // names, in order of Graph::inputs
  std::vector<std::string> outputs;  // names, in order of Graph::outputs
  std::vector<StateUpdate> state_updates;
  std::string structure;  // how Python nests inputs and outputs; may be empty
};

// Real inputs and outputs of a signature: the model tests itself by them.
struct Golden {
  std::string signature;
  std::vector<Tensor> inputs, outputs;
};

class FileSource;  // runtime/format/source.h: the mapped file

struct Program {
  std::vector<Graph> graphs;
  std::vector<Symbol> symbols;
  std::vector<Constant> constants;
  std::vector<Signature> signatures;
  std::vector<Golden> goldens;
  std::vector<std::pair<std::string, std::string>> metadata;
  // Random state that the next run starts from.
  uint64_t rng_seed = 0, rng_offset = 0;
  // Where it was loaded from; null for a program made by capture.
  std::shared_ptr<const FileSource> source;

  const Signature* find(std::string_view key) const;
  int constant_index(std::string_view name) const;  // -1: none
};

// Everything that must hold of a program, as docs/format.md lists it: indices,
// order, names, aliases, symbols, and each op's own `infer` over the declared
// types. Throws FormatError, or what `infer` throws with the node named.
void check_program(const Program& program);

// quick: all of the metadata, and each weight when it is first used.
// full: every byte of the file at once.
enum class Verify : uint8_t { quick, full };

// Loads a `.fer` file: maps it and checks it. Weights are never copied. Throws
// FormatError "[digits.fer] ..." that says what is wrong.
std::shared_ptr<const Program> open_program(const std::string& path,
                                            Verify verify = Verify::quick);
// The same from memory, which is copied.
std::shared_ptr<const Program> load_program(std::span<const std::byte> file,
                                            Verify verify = Verify::quick);

// Checks a program and writes it (whole library only; a session of the runtime
// saves its state with Session::save). The file is replaced as a whole or not
// at all.
void write_program(const Program& program, const std::string& path);
std::vector<std::byte> write_program(const Program& program);

// Evaluates expression `e` given the shapes of values (hint shapes replaced).
// `shape(value, dim)` returns the size.
template <class ShapeOf>
int64_t evaluate(const std::vector<Expr>& exprs, int32_t e,
                 const ShapeOf& shape) {
  const Expr& x = exprs[e];
  switch (x.kind) {
    case Expr::Kind::constant:
      return x.value;
    case Expr::Kind::size:
      return shape(x.a, x.b);
    case Expr::Kind::op:
      break;
  }
  return apply(x.op, evaluate(exprs, x.a, shape), evaluate(exprs, x.b, shape));
}

}  // namespace ferrule
