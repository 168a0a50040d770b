// CompiledGraph: a captured function that this process runs again and again. It
// computes on the tensors themselves that were lifted with
// Capture::lift_shared, reads what they are by then and writes into them; a
// Session has copies.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ferrule/session.h"

namespace ferrule {

class CompiledGraph {
 public:
  // The signature `key` of a program without sizes that are chosen at run time,
  // whose first `shared` constants were lifted with lift_shared. `passes`: as
  // SessionOptions::passes. Throws ValueError if it writes into memory that is
  // read-only, or into one of two constants that share memory.
  CompiledGraph(std::shared_ptr<const Program> program, std::string_view key,
                size_t shared, std::string_view passes);
  ~CompiledGraph();
  CompiledGraph(const CompiledGraph&) = delete;

  // Results in memory of their own. Random ops draw from the generator in use,
  // as they do one by one. `numbers`: by NodeArg::expr of float arguments, all
  // that the graph counts or more. Threads wait for each other. Errors are
  // those of Session::run; the inputs have the shapes that were captured.
  std::vector<Tensor> run(std::span<const Tensor> inputs,
                          std::span<const double> numbers);

  // Does the graph read input i, or return it?
  bool uses_input(size_t i) const;
  // As those of Session; of shapes as captured.
  std::vector<std::string> steps();
  RunCost cost();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Cuts the graph of the program's only signature in two after `count` nodes and
// `results` results: "forward" takes the inputs but the last `given` and
// returns the first `results` results, and then what "backward" wants of it;
// "backward" takes that, then the last `given` inputs, and returns the other
// results. Throws RuntimeError if the second part needs a value that the first
// overwrites.
std::shared_ptr<const Program> cut_in_two(const Program& program, size_t count,
                                          size_t results, size_t given);

}  // namespace ferrule
