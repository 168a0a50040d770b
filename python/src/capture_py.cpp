// Capture, programs and sessions for Python: what ferrule.export builds on.
#include "capture_py.h"

#include "call_site.h"
#include "casters.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <memory>

#include "ferrule/autograd.h"
#include "ferrule/capture.h"
#include "ferrule/compiled.h"
#include "ferrule/ops.h"
#include "ferrule/session.h"
#include "ferrule/vmap.h"
#include "runtime/core/crc32c.h"
#include "runtime/cpu/strided_copy.h"
#include "runtime/graph/compare_runs.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace ferrule::python {
namespace {

// A program in the making, or loaded.
struct PyProgram {
  std::shared_ptr<Program> program = std::make_shared<Program>();
};

std::shared_ptr<const Program> open_shared(const std::string& path, bool full) {
  return open_program(path, full ? Verify::full : Verify::quick);
}

// (name, dtype, dims): a free dimension by the name of its size.
nb::tuple describe(const Program& p, const Value& v) {
  nb::list dims;
  for (const DimSpec& d : v.dims) {
    if (d.symbol >= 0) {
      dims.append(nb::cast(p.symbols[d.symbol].name));
    } else if (d.fixed) {
      dims.append(nb::cast(d.value));
    } else {
      dims.append(nb::none());
    }
  }
  return nb::make_tuple(nb::cast(std::string(name(v.dtype))), nb::tuple(dims));
}

// "batch // 2 + 1"
std::string expr_text(const Program& p, const Graph& g, int32_t e, int depth) {
  static constexpr const char* kOps[] = {"+", "-", "*", "//", "%"};
  constexpr int kDeepest = 6;
  const Expr& x = g.exprs[static_cast<size_t>(e)];
  if (x.kind == Expr::Kind::constant) return concat(x.value);
  if (x.kind == Expr::Kind::size) {
    const Value& v = g.values[static_cast<size_t>(x.a)];
    const DimSpec& d = v.dims[static_cast<size_t>(x.b)];
    if (d.symbol >= 0) return p.symbols[static_cast<size_t>(d.symbol)].name;
    return concat(v.name.empty() ? concat("%", x.a) : v.name, ".shape[", x.b,
                  "]");
  }
  if (depth == kDeepest) return "...";
  const std::string a = expr_text(p, g, x.a, depth + 1);
  const std::string b = expr_text(p, g, x.b, depth + 1);
  if (x.op == IntOp::min) return concat("min(", a, ", ", b, ")");
  if (x.op == IntOp::max) return concat("max(", a, ", ", b, ")");
  const std::string text = concat(a, " ", kOps[static_cast<int>(x.op)], " ", b);
  return depth ? concat("(", text, ")") : text;
}

std::string int_text(const Program& p, const Graph& g, int64_t value,
                     int32_t expr) {
  return expr < 0 ? concat(value) : expr_text(p, g, expr, 0);
}

std::string ints_text(const Program& p, const Graph& g,
                      std::span<const Int> ints) {
  std::string out = "(";
  for (const Int& v : ints) {
    out += concat(out.size() > 1 ? ", " : "", int_text(p, g, v.value, v.expr));
  }
  return out + (ints.size() == 1 ? ",)" : ")");
}

bool is_default(const Param& p, const NodeArg& a) {
  if (!p.has_default || p.fallback.tag != a.tag || a.expr >= 0) return false;
  switch (a.tag) {
    case ArgTag::int_:
      return a.i == p.fallback.i;
    case ArgTag::float_:
      return a.f == p.fallback.f;
    case ArgTag::bool_:
      return a.b == p.fallback.b;
    case ArgTag::str:
      return std::string_view(a.str) == p.fallback.str;
    default:
      return false;
  }
}

// A tensor as its number, a list of them as one of numbers, all else as text.
nb::object argument(const Program& p, const Graph& g, const NodeArg& a) {
  switch (a.tag) {
    case ArgTag::none:
      return nb::none();
    case ArgTag::tensor:
      return nb::cast(a.value);
    case ArgTag::tensors:
      return nb::cast(a.values);
    case ArgTag::int_:
      return nb::cast(int_text(p, g, a.i, a.expr));
    case ArgTag::float_:
      return nb::cast(concat(a.f));
    case ArgTag::bool_:
      return nb::cast(std::string(a.b ? "True" : "False"));
    case ArgTag::ints:
      return nb::cast(ints_text(p, g, a.ints));
    case ArgTag::str:
      return nb::cast(concat("'", a.str, "'"));
    case ArgTag::dtype:
      return nb::cast(concat(a.dtype));
    case ArgTag::device:
      return nb::cast(concat(a.device));
  }
  return nb::none();
}

// What a graph prints: (name, values, nodes, inputs, outputs). Values are
// (name, role, (dtype, dims)), nodes (op, where, arguments by name, outputs,
// numbers of the graphs that they run). Arguments that are the default are
// left out.
nb::tuple graph_at(const Program& p, size_t index) {
  static constexpr const char* kRoles[] = {"input", "constant", "state",
                                           "temp"};
  const Graph& g = p.graphs.at(index);
  nb::list values, nodes;
  for (const Value& v : g.values) {
    const bool stored =
        v.role == ValueRole::constant || v.role == ValueRole::state;
    values.append(nb::make_tuple(
        stored ? p.constants[static_cast<size_t>(v.constant)].name : v.name,
        kRoles[static_cast<int>(v.role)], describe(p, v)));
  }
  for (const Node& n : g.nodes) {
    const Schema& schema = info_of(*n.op).schema;
    nb::list args;
    for (size_t i = 0; i < n.args.size(); ++i) {
      if (n.args[i].tag == ArgTag::none ||
          is_default(schema.params[i], n.args[i])) {
        continue;
      }
      args.append(nb::make_tuple(std::string(schema.params[i].name),
                                 argument(p, g, n.args[i])));
    }
    nodes.append(
        nb::make_tuple(n.op->name, n.where, args, n.outputs, n.regions));
  }
  return nb::make_tuple(g.name, values, nodes, g.inputs, g.outputs);
}

nb::list signatures(const Program& p) {
  nb::list result;
  for (const Signature& s : p.signatures) {
    const Graph& g = p.graphs[s.graph];
    nb::list inputs, outputs;
    for (size_t i = 0; i < s.inputs.size(); ++i) {
      inputs.append(
          nb::make_tuple(s.inputs[i], describe(p, g.values[g.inputs[i]])));
    }
    for (size_t i = 0; i < s.outputs.size(); ++i) {
      outputs.append(
          nb::make_tuple(s.outputs[i], describe(p, g.values[g.outputs[i]])));
    }
    result.append(nb::make_tuple(s.key, inputs, outputs, g.nodes.size(),
                                 s.state_updates.size()));
  }
  return result;
}

// What a signature computes: values as (name, role, (dtype, dims)), nodes as
// (op, where, inputs, outputs) with the numbers of values.
nb::tuple graph_of(const Program& p, const std::string& key) {
  static constexpr const char* kRoles[] = {"input", "constant", "state",
                                           "temp"};
  const Signature* s = p.find(key);
  if (!s) fail<ValueError>("[graph] no signature '", key, "'");
  const Graph& g = p.graphs[s->graph];
  nb::list values, nodes;
  for (const Value& v : g.values) {
    const bool stored =
        v.role == ValueRole::constant || v.role == ValueRole::state;
    values.append(nb::make_tuple(stored ? p.constants[v.constant].name : v.name,
                                 kRoles[static_cast<int>(v.role)],
                                 describe(p, v)));
  }
  for (const Node& n : g.nodes) {
    nb::list inputs, outputs;
    for (const NodeArg& a : n.args) {
      if (a.tag == ArgTag::tensor) inputs.append(a.value);
      for (int32_t v : a.values) {
        if (v >= 0) inputs.append(v);
      }
    }
    for (int32_t v : n.outputs) outputs.append(v);
    nodes.append(nb::make_tuple(n.op->name, n.where, inputs, outputs));
  }
  return nb::make_tuple(values, nodes);
}

// The results of a run belong to the session: Python gets copies.
std::vector<Tensor> run(Session& session, const std::string& signature,
                        const std::vector<Tensor>& inputs) {
  std::vector<Tensor> results;
  {
    nb::gil_scoped_release unlocked;
    for (const Tensor& t : session.run(signature, inputs)) {
      results.push_back(op::clone(t));
    }
  }
  return results;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || Dims(a.shape()) != Dims(b.shape())) {
    return false;
  }
  Tensor x = op::clone(a.detach()), y = op::clone(b.detach());
  return std::memcmp(x.data<char>(), y.data<char>(), x->nbytes()) == 0;
}

// Appends a control flow node to the capture that is running.
std::vector<Tensor> control(const std::string& name,
                            std::optional<Tensor> predicate,
                            std::vector<Tensor> carry, std::vector<Tensor> xs,
                            bool reverse, std::vector<Capture*> regions) {
  const OpDef* op = find_op(name);
  Capture* capture = Capture::current();
  if (!op || !op->runs_graphs || !capture) {
    fail<RuntimeError>("[capture] no control flow '", name, "' here");
  }
  const Int length = xs.empty() ? Int() : size_of(xs[0].impl(), 0);
  return capture->control({*op, predicate.value_or(Tensor()), std::move(carry),
                           std::move(xs), length, reverse, std::move(regions)});
}

// Checks what `write_program` would write, without a file.
std::shared_ptr<const Program> reload(const PyProgram& p) {
  return load_program(write_program(*p.program));
}

Randomness randomness_from(const std::string& name) {
  if (name == "error") return Randomness::error;
  if (name == "same") return Randomness::same;
  if (name == "different") return Randomness::different;
  fail<ValueError>(
      "[vmap] randomness must be \"error\", \"same\" or \"different\", got "
      "\"",
      name, "\"");
}

void bind_vmap(nb::module_& m) {
  nb::class_<Vmap>(m, "Vmap", "A function of one sample, run on a batch.")
      .def("__init__",
           [](Vmap* self, nb::object size, const std::string& randomness) {
             Int n;
             if (!int_from(size.ptr(), &n)) type_error("[vmap] not a size");
             new (self) Vmap(n, randomness_from(randomness));
           })
      .def("input", &Vmap::input)
      .def("finish",
           [](Vmap& v, const std::vector<Tensor>& outputs) {
             std::vector<std::pair<Tensor, bool>> results;
             std::vector<Batched> made;
             {
               // Within another capture, hooks may call back into Python.
               note_site_before_release();
               GilRelease released(!v.is_nested());
               made = v.finish(outputs);
             }
             for (Batched& t : made) {
               results.emplace_back(std::move(t.tensor), t.batched);
             }
             return results;
           })
      .def("abandon", &Vmap::abandon)
      .def("one_by_one", [](const Vmap& v) {
        return std::vector<std::string>(v.one_by_one().begin(),
                                        v.one_by_one().end());
      });
}

}  // namespace

void bind_capture(nb::module_& m) {
  nb::class_<PyProgram>(m, "ProgramBuilder",
                        "A program that captures add their graphs to.")
      .def(nb::init<>())
      .def(
          "declare_size",
          [](PyProgram& p, std::string name, int64_t min, int64_t max,
             int64_t multiple, int32_t of, int64_t factor, int64_t offset) {
            p.program->symbols.push_back(
                {std::move(name), min, max, multiple, of, factor, offset});
          },
          "name"_a, "min"_a, "max"_a, "multiple"_a, "of"_a = -1, "factor"_a = 1,
          "offset"_a = 0)
      .def("set_smallest",
           [](PyProgram& p, const std::string& name, int64_t min) {
             for (Symbol& s : p.program->symbols) {
               if (s.name == name) s.min = min;
             }
           })
      .def("values_at",
           [](PyProgram& p, const std::string& key,
              const std::vector<int32_t>& exprs,
              const std::vector<int64_t>& symbols) {
             return values_at(*p.program, key, exprs, symbols);
           })
      .def("add_golden",
           [](PyProgram& p, std::string signature, std::vector<Tensor> inputs,
              std::vector<Tensor> outputs) {
             for (Tensor& t : inputs) t = op::clone(t);
             for (Tensor& t : outputs) t = op::clone(t);
             p.program->goldens.push_back(
                 {std::move(signature), std::move(inputs), std::move(outputs)});
           })
      .def("add_metadata",
           [](PyProgram& p, std::string key, std::string value) {
             p.program->metadata.emplace_back(std::move(key), std::move(value));
           })
      .def("set_rng",
           [](PyProgram& p, uint64_t seed, uint64_t offset) {
             p.program->rng_seed = seed;
             p.program->rng_offset = offset;
           })
      .def("reload", &reload)
      .def("program",
           [](const PyProgram& p) -> std::shared_ptr<const Program> {
             return p.program;
           })
      .def("cut_in_two",
           [](const PyProgram& p, size_t count, size_t results, size_t given) {
             return cut_in_two(*p.program, count, results, given);
           })
      .def("write", [](const PyProgram& p, const std::string& path) {
        nb::gil_scoped_release unlocked;
        write_program(*p.program, path);
      });

  nb::class_<Capture>(m, "Capture",
                      "Writes down the graph of what runs until finish().")
      .def(
          "__init__",
          [](Capture* self, PyProgram& p, std::string graph) {
            new (self) Capture(*p.program, std::move(graph));
          },
          nb::keep_alive<1, 2>())
      .def("input",
           [](Capture& c, std::string name, const Tensor& example,
              const std::vector<std::string>& symbols) {
             return c.input(std::move(name), example, symbols);
           })
      .def("lift", &Capture::lift)
      .def("lift_shared", &Capture::lift_shared)
      .def("held_outside",
           [](const Capture& c) -> std::optional<Tensor> {
             Tensor t = c.held_outside();
             return t ? std::optional(t) : std::nullopt;
           })
      .def("input_changed",
           [](const Capture& c, size_t i) { return c.input_changed(i); })
      .def("size", &Capture::size)
      .def("finish", &Capture::finish, "key"_a, "output_names"_a, "outputs"_a,
           "structure"_a = "")
      .def("abandon", &Capture::abandon)
      .def("region_input", &Capture::region_input)
      .def("close", &Capture::close)
      .def_rw("where", &Capture::where);

  nb::class_<Leaves>(m, "Leaves",
                     "A block in which tensors with a history are leaves.")
      .def(nb::init<std::vector<Tensor>>())
      .def("__enter__", [](nb::object self) { return self; })
      .def("__exit__", [](Leaves& l, nb::args) { l.restore(); });

  nb::class_<Program>(m, "Program", "What a .fer file holds; immutable.")
      .def("signatures", &signatures)
      .def("graph", &graph_of)
      .def("graph_at", &graph_at)
      .def("known_sizes",
           [](const Program& p, const std::string& key) {
             return known_sizes(p, key);
           })
      .def("graph_index",
           [](const Program& p, const std::string& key) {
             const Signature* s = p.find(key);
             if (!s) fail<ValueError>("[graph] no signature '", key, "'");
             return s->graph;
           })
      .def("structures",
           [](const Program& p) {
             nb::dict d;
             for (const Signature& s : p.signatures) {
               d[nb::cast(s.key)] = s.structure;
             }
             return d;
           })
      .def("sizes",
           [](const Program& p) {
             nb::list l;
             for (const Symbol& s : p.symbols) {
               l.append(nb::make_tuple(s.name, s.min, s.max, s.multiple));
             }
             return l;
           })
      .def("constants",
           [](const Program& p) {
             nb::list l;
             for (const Constant& c : p.constants) {
               l.append(nb::make_tuple(c.name, c.trainable));
             }
             return l;
           })
      .def("metadata", [](const Program& p) { return p.metadata; });

  nb::class_<Session>(m, "Session", "Runs a program and owns its state.")
      .def(
          "__init__",
          [](Session* self, std::shared_ptr<Program> p, std::string passes) {
            SessionOptions options;
            options.passes = std::move(passes);
            new (self) Session(std::move(p), std::move(options));
          },
          "program"_a, "passes"_a = "")
      .def("run", &run)
      .def(
          "arena_bytes",
          [](Session& s, const std::string& signature,
             const std::vector<Tensor>& inputs) {
            return s.prepare(signature, inputs).arena_bytes;
          },
          "Memory of intermediate values and results, for such inputs.")
      .def("steps",
           [](Session& s, const std::string& signature,
              const std::vector<Tensor>& inputs) {
             return s.steps(signature, inputs);
           })
      .def("state",
           [](const Session& s, const std::string& n) { return s.state(n); })
      .def("set_state", [](Session& s, const std::string& n,
                           const Tensor& v) { s.set_state(n, v); })
      .def("rng",
           [](const Session& s) {
             return std::make_pair(s.rng().seed, s.rng().offset);
           })
      .def("set_rng", [](Session& s, uint64_t seed,
                         uint64_t offset) { s.set_rng({seed, offset}); })
      .def("check", &Session::check_goldens, "tolerance"_a = 0.0,
           nb::call_guard<nb::gil_scoped_release>())
      .def("save", &Session::save, nb::call_guard<nb::gil_scoped_release>());

  bind_vmap(m);

  m.def(
      "capture_region",
      [](std::string name) {
        Capture* outer = Capture::current();
        if (!outer) fail<RuntimeError>("[capture] no capture is running");
        return std::make_unique<Capture>(*outer, std::move(name));
      },
      "A graph inside of the one that is being captured; ops go into it.");
  m.def(
      "captured",
      [](const std::vector<Capture*>& r) { return Capture::captured(r); },
      "Tensors around closed regions that they use, each once.");
  m.def("capture_control", &control, "op"_a, "predicate"_a.none(), "carry"_a,
        "xs"_a, "reverse"_a, "regions"_a,
        "Appends a control flow node; see Capture::control.");
  m.def(
      "graph_difference",
      [](const Program& a, const Program& b, const std::string& key) {
        return graph_difference(a, b, key);
      },
      "The first node by which a signature's graphs differ, or \"\".");
  m.def(
      "first_difference",
      [](std::shared_ptr<Program> a, const std::string& passes_a,
         std::shared_ptr<Program> b, const std::string& passes_b,
         const std::string& key, const std::vector<Tensor>& inputs) {
        nb::gil_scoped_release unlocked;
        ComparedRun runs[2];
        runs[0].program = std::move(a);
        runs[0].options.passes = passes_a;
        runs[1].program = std::move(b);
        runs[1].options.passes = passes_b;
        const auto found = first_difference(runs[0], runs[1], key, inputs, 0);
        return found ? found->text : std::string();
      },
      "The first value in which two runs differ, as text, or \"\".");
  m.def("open_program", &open_shared, "path"_a, "full"_a = false);
  // Another Python object for the same tensor.
  m.def("share", [](const Tensor& t) { return t; });
  m.def("same_bits", &same_bits, "Same dtype, shape and bytes.");
  m.def(
      "checksum",
      [](const Tensor& t) {
        Tensor dense = Tensor::empty(t.shape(), t.dtype());
        strided_copy(*t.impl(), *dense.impl());
        return crc32c(dense->bytes(), static_cast<size_t>(dense->nbytes()));
      },
      "CRC32C of a tensor's bytes, row by row.");
  // Runs every op that can be decomposed by its decomposition: for tests.
  m.def("set_decompose", &set_decompose);
  m.def(
      "capture_draws", [] { return Capture::current()->draws(); },
      "Calls of random ops that the running capture has seen.");
  m.def(
      "capture_draw_again",
      [](Capture::Draws range) {
        return Capture::current()->draw_again(range);
      },
      "range"_a.none(), "See Capture::draw_again.");
  m.def("is_capturing", [] { return Capture::current() != nullptr; });
  // Whether control flow is written down: under vmap it is not.
  m.def("captures_control_flow", [] {
    const Capture* c = Capture::current();
    return c && c->purpose() != Capture::For::replay;
  });
}

}  // namespace ferrule::python
