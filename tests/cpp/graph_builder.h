// Programs made by hand, for tests of the file and the executor.
//
//   Program p;
//   p.symbols.push_back({"batch", 1, 64, 1});
//   GraphBuilder b(p, "forward");
//   int32_t x = b.input("x", DType::f32, {{2, 0, false}, {3}});
//   int32_t w = b.constant("w", weight);
//   b.output("y", b.node("matmul", {{"input", ref(x)}, {"other", ref(w)}}));
//   b.finish();
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ferrule/program.h"

namespace ferrule::test {

inline NodeArg ref(int32_t value) {
  NodeArg a;
  a.tag = ArgTag::tensor;
  a.value = value;
  return a;
}
inline NodeArg refs(std::vector<int32_t> values) {
  NodeArg a;
  a.tag = ArgTag::tensors;
  a.values = std::move(values);
  return a;
}
inline NodeArg num(int64_t i, int32_t expr = -1) {
  NodeArg a;
  a.tag = ArgTag::int_;
  a.i = i;
  a.expr = expr;
  return a;
}
inline NodeArg real(double f) {
  NodeArg a;
  a.tag = ArgTag::float_;
  a.f = f;
  return a;
}
inline NodeArg type(DType t) {
  NodeArg a;
  a.tag = ArgTag::dtype;
  a.dtype = t;
  return a;
}
inline NodeArg flag(bool b) {
  NodeArg a;
  a.tag = ArgTag::bool_;
  a.b = b;
  return a;
}
inline NodeArg ints(std::vector<Int> v) {
  NodeArg a;
  a.tag = ArgTag::ints;
  a.ints = std::move(v);
  return a;
}

using NamedArgs = std::vector<std::pair<std::string, NodeArg>>;

class GraphBuilder {
 public:
  GraphBuilder(Program& program, std::string key) : program_(program) {
    signature_.key = key;
    graph_.name = std::move(key);
  }

  int32_t input(const std::string& name, DType dtype,
                std::vector<DimSpec> dims) {
    Value v;
    v.name = name;
    v.dtype = dtype;
    v.dims = std::move(dims);
    v.role = ValueRole::input;
    Tensor t = Tensor::adopt(new_impl());
    Dims shape;
    for (const DimSpec& d : v.dims) shape.push(d.value);
    t->dtype = dtype;
    t->set_contiguous(shape);
    const int32_t id = add(std::move(v), std::move(t));
    graph_.inputs.push_back(id);
    signature_.inputs.push_back(name);
    return id;
  }

  // A constant of the program: the one of that name, or a new one.
  int32_t constant(const std::string& name, const Tensor& data,
                   ValueRole role = ValueRole::constant) {
    int32_t index = program_.constant_index(name);
    if (index < 0) {
      index = static_cast<int32_t>(program_.constants.size());
      Constant& c = program_.constants.emplace_back();
      c.name = name;
      c.data = data;
      c.trainable = role == ValueRole::state;
    }
    Value v;
    v.name = name;
    v.dtype = data.dtype();
    for (int64_t d : data.shape()) v.dims.push_back({d, -1, true});
    v.role = role;
    v.constant = index;
    return add(std::move(v), data);
  }

  int32_t state(const std::string& name, const Tensor& data) {
    return constant(name, data, ValueRole::state);
  }

  // The first result of the node; `outputs` of `last()` holds all.
  int32_t node(const std::string& op, const NamedArgs& args) {
    Node n;
    n.op = find_op(op);
    if (!n.op) fail<ValueError>("no op ", op);
    OpCall call(*n.op);
    const Schema& schema = call.info.schema;
    n.args.resize(schema.n);
    Arg given[kMaxArgs];
    std::vector<TensorImpl*> list;
    for (const auto& [name, a] : args) {
      const int i = schema.find(name);
      if (i < 0) fail<ValueError>("no parameter ", name);
      n.args[i] = a;
      given[i] = arg(a, list);
    }
    call.bind(given, schema.n);
    n.op->infer(call);
    for (int i = 0; i < call.nouts; ++i) {
      Value v;
      v.dtype = call.outs[i]->dtype;
      for (int64_t d : call.outs[i]->sizes()) {
        v.dims.push_back({d, -1, program_.symbols.empty()});
      }
      n.outputs.push_back(add(std::move(v), Tensor::share(call.outs[i])));
    }
    for (int p = 0; writes(call.info, call.args) && p < schema.n; ++p) {
      if (!schema.params[p].mutated) continue;
      if (n.args[p].tag == ArgTag::tensor) written(n, n.args[p].value);
      if (n.args[p].tag != ArgTag::tensors) continue;
      for (int32_t v : n.args[p].values) written(n, v);
    }
    n.where = concat("test.", op);
    graph_.nodes.push_back(std::move(n));
    const auto& outs = graph_.nodes.back().outputs;
    return outs.empty() ? -1 : outs[0];
  }

  // A control flow node; `results` are the types of what it gives.
  int32_t control(const std::string& op, const NamedArgs& args,
                  std::vector<int32_t> regions,
                  const std::vector<Tensor>& results) {
    Node n;
    n.op = find_op(op);
    const Schema& schema = info_of(*n.op).schema;
    n.args.resize(schema.n);
    for (const auto& [name, a] : args) n.args[schema.find(name)] = a;
    for (const Tensor& t : results) {
      Value v;
      v.dtype = t.dtype();
      for (int64_t d : t.shape()) {
        v.dims.push_back({d, -1, program_.symbols.empty()});
      }
      n.outputs.push_back(add(std::move(v), t));
    }
    n.regions = std::move(regions);
    n.where = concat("test.", op);
    graph_.nodes.push_back(std::move(n));
    return graph_.nodes.back().outputs.at(0);
  }

  const Node& last() const { return graph_.nodes.back(); }

  int32_t size_expr(int32_t value, int dim) {
    Expr e;
    e.kind = Expr::Kind::size;
    e.a = value;
    e.b = dim;
    e.value = tensors_[value].size(dim);
    graph_.exprs.push_back(e);
    return static_cast<int32_t>(graph_.exprs.size()) - 1;
  }
  int32_t op_expr(IntOp op, int32_t a, int32_t b) {
    Expr e;
    e.kind = Expr::Kind::op;
    e.op = op;
    e.a = a;
    e.b = b;
    e.value = apply(op, graph_.exprs[a].value, graph_.exprs[b].value);
    graph_.exprs.push_back(e);
    return static_cast<int32_t>(graph_.exprs.size()) - 1;
  }
  int64_t value_of_expr(int32_t e) const { return graph_.exprs[e].value; }

  void output(const std::string& name, int32_t value) {
    graph_.outputs.push_back(value);
    signature_.outputs.push_back(name);
  }
  void update(const std::string& constant, int32_t value) {
    signature_.state_updates.push_back(
        {program_.constant_index(constant), value});
  }
  // Ends a graph that a node of a later one runs; its number.
  int32_t finish_region() {
    program_.graphs.push_back(std::move(graph_));
    return static_cast<int32_t>(program_.graphs.size()) - 1;
  }
  void finish() {
    signature_.graph = static_cast<int32_t>(program_.graphs.size());
    program_.graphs.push_back(std::move(graph_));
    program_.signatures.push_back(std::move(signature_));
  }

 private:
  int32_t add(Value v, Tensor t) {
    graph_.values.push_back(std::move(v));
    tensors_.push_back(std::move(t));
    return static_cast<int32_t>(graph_.values.size()) - 1;
  }
  void written(Node& n, int32_t over) {
    Value v = graph_.values[over];
    v.name.clear();
    v.role = ValueRole::temp;
    v.constant = -1;
    v.alias_of = over;
    n.outputs.push_back(add(std::move(v), tensors_[over]));
  }
  Arg arg(const NodeArg& a, std::vector<TensorImpl*>& list) {
    switch (a.tag) {
      case ArgTag::tensor:
        return Arg(tensors_[a.value]);
      case ArgTag::tensors:
        // One list a node is all that the tests need.
        for (int32_t v : a.values) list.push_back(tensors_[v].impl());
        return Arg(std::span<TensorImpl* const>(list));
      case ArgTag::int_:
        return Arg(a.i);
      case ArgTag::float_:
        return Arg(a.f);
      case ArgTag::dtype:
        return Arg(a.dtype);
      case ArgTag::bool_:
        return Arg(a.b);
      case ArgTag::ints:
        return Arg(std::span<const Int>(a.ints));
      default:
        return Arg();
    }
  }

  Program& program_;
  Graph graph_;
  Signature signature_;
  std::vector<Tensor> tensors_;
};

// --- tensors

inline Tensor make(std::initializer_list<int64_t> shape,
                   const std::vector<float>& values) {
  Tensor t = Tensor::empty(shape, DType::f32);
  for (int64_t i = 0; i < t.numel(); ++i) {
    t.data<float>()[i] = values[static_cast<size_t>(i) % values.size()];
  }
  return t;
}
inline Tensor ramp(std::initializer_list<int64_t> shape, float start = 0) {
  Tensor t = Tensor::empty(shape, DType::f32);
  for (int64_t i = 0; i < t.numel(); ++i) {
    t.data<float>()[i] = start + 0.25f * static_cast<float>(i);
  }
  return t;
}
inline std::vector<float> floats(const Tensor& t) {
  return {t.data<float>(), t.data<float>() + t.numel()};
}

// The message of the error that f throws; "no error" if it does not.
template <class F>
std::string error_of(const F& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}
inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// --- programs

constexpr int64_t kBatch = 4;

// forward: relu(x @ w + b), over any batch in 1..64 of 3 features.
inline Program linear_program() {
  Program p;
  p.symbols.push_back({"batch", 1, 64, 1});
  p.metadata.emplace_back("title", "a test");
  p.rng_seed = 7;
  GraphBuilder b(p, "forward");
  const int32_t x = b.input("x", DType::f32, {{kBatch, 0, false}, {3, -1}});
  const int32_t w = b.constant("w", ramp({3, 2}, -0.5f));
  const int32_t c = b.constant("b", ramp({2}, -1));
  const int32_t y = b.node("matmul", {{"input", ref(x)}, {"other", ref(w)}});
  const int32_t z = b.node("add", {{"input", ref(y)}, {"other", ref(c)}});
  b.output("y", b.node("relu", {{"input", ref(z)}}));
  b.finish();
  return p;
}

// train_step: w <- w - x, in dataflow; also n += 1 in place, and a loss. And
// forward: w * 2.
inline Program training_program() {
  Program p;
  GraphBuilder f(p, "forward");
  const int32_t fw = f.constant("w", ramp({4}));
  f.output("y", f.node("mul", {{"input", ref(fw)}, {"other", real(2)}}));
  f.finish();
  GraphBuilder b(p, "train_step");
  const int32_t x = b.input("x", DType::f32, {{4, -1}});
  const int32_t w = b.state("w", ramp({4}));
  const int32_t n = b.state("n", make({4}, {10}));
  const int32_t d = b.node("sub", {{"input", ref(w)}, {"other", ref(x)}});
  const int32_t next = b.node("add", {{"input", ref(n)}, {"other", real(1)}});
  b.node("copy_", {{"input", ref(n)}, {"src", ref(next)}});
  b.update("n", b.last().outputs.back());
  b.update("w", d);
  b.output("loss", b.node("sum", {{"input", ref(d)}}));
  b.finish();
  return p;
}

}  // namespace ferrule::test
