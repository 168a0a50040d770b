// `ferrule inspect`: says what is in a file.
#include <algorithm>

#include "runtime/core/json.h"
#include "runtime/format/source.h"
#include "runtime/graph/node_text.h"
#include "runtime/graph/passes/passes.h"
#include "runtime/tool/commands.h"
#include "runtime/tool/dot.h"
#include "runtime/tool/graph_text.h"

namespace ferrule::tool {
namespace {

using Entries = std::span<const Signature* const>;

constexpr char kHelp[] =
    R"(usage: ferrule inspect FILE [-v] [--entry NAME] [--passes LIST]
       ferrule inspect FILE [-v] [--entry NAME] --json
       ferrule inspect FILE [--entry NAME] --dot

Prints the signatures of a model with their inputs, results and ops, its
parameters, sizes and metadata.

  -v             also every node and every weight
  --passes LIST  also the passes over the graph, and the steps that they leave
                 for inputs of the sizes that the model was captured with:
                 "default", "none", or e.g. "-epilogues"
  --entry NAME   of the entry points only this one; --signature is the same
  --json         print JSON
  --dot          print the graph for Graphviz, which makes a picture of it:
                 ferrule inspect --dot model.fer | dot -Tsvg > model.svg

Exit code: 0; 2 for a wrong command line; 3 for an error.
)";

constexpr Option kOptions[] = {{"-v", false},     {"--passes"},
                               {"--entry"},       {"--signature"},
                               {"--json", false}, {"--dot", false}};

// What runs, with inputs of the sizes at capture.
std::vector<std::string> steps_of(Session& session, const Signature& s) {
  const Graph& g = session.program().graphs[s.graph];
  std::vector<Tensor> inputs;
  for (int32_t id : g.inputs) {
    Dims shape;
    for (const DimSpec& d : g.values[id].dims) shape.push(d.value);
    inputs.push_back(Tensor::empty(shape, g.values[id].dtype));
  }
  return session.steps(s.key, inputs);
}

struct OpCount {
  std::string_view name;
  int64_t n;
};

// Most frequent first.
std::vector<OpCount> count_ops(const Graph& g) {
  std::vector<OpCount> out;
  for (const Node& n : g.nodes) {
    const auto at = std::ranges::find(out, n.op->name, &OpCount::name);
    if (at == out.end()) {
      out.push_back({n.op->name, 1});
    } else {
      ++at->n;
    }
  }
  std::ranges::stable_sort(out, std::greater<>(), &OpCount::n);
  return out;
}

struct Sizes {
  int64_t tensors = 0, elements = 0, bytes = 0;
  void add(const Tensor& t) {
    ++tensors;
    elements += t.numel();
    bytes += t->nbytes();
  }
  std::string text() const {
    return concat(grouped(elements), " in ", tensors, " tensors, ",
                  bytes_text(bytes));
  }
};

void print_nodes(const Program& p, const Graph& g, std::string indent);

// A graph that a node runs.
void print_region(const Program& p, const Graph& g, std::string indent) {
  std::string line = concat(indent, g.name, ":");
  for (int32_t v : g.inputs) line += concat(" ", value_name(g, v));
  line += " ->";
  for (int32_t v : g.outputs) line += concat(" ", value_name(g, v));
  print(line);
  print_nodes(p, g, indent);
}

void print_nodes(const Program& p, const Graph& g, std::string indent) {
  for (size_t i = 0; i < g.nodes.size(); ++i) {
    const Node& n = g.nodes[i];
    std::string line = concat(indent, i, "  ", node_line(g, n));
    if (!n.outputs.empty()) {
      line += concat("  ", typed(p, g.values[n.outputs[0]]));
    }
    if (!n.where.empty()) line += concat("  # ", n.where);
    print(line);
    for (int32_t r : n.regions) print_region(p, p.graphs[r], indent + "    ");
  }
}

void print_signature(const Program& p, const Signature& s, bool verbose) {
  const Graph& g = p.graphs[s.graph];
  print(concat("\n", s.key));
  for (size_t i = 0; i < g.inputs.size(); ++i) {
    print(concat("  input  ", s.inputs[i], "  ",
                 typed(p, g.values[g.inputs[i]])));
  }
  for (size_t i = 0; i < g.outputs.size(); ++i) {
    print(concat("  result ", s.outputs[i], "  ",
                 typed(p, g.values[g.outputs[i]])));
  }
  if (!s.state_updates.empty()) {
    print(concat("  writes ", s.state_updates.size(), " weights and states"));
  }
  std::string ops;
  for (const OpCount& c : count_ops(g)) {
    ops += concat(ops.empty() ? "" : ", ", c.name);
    if (c.n > 1) ops += concat(" x", c.n);
  }
  print(concat("  ", g.nodes.size(),
               g.nodes.size() == 1 ? " node: " : " nodes: ", ops));
  if (verbose) print_nodes(p, g, "    ");
}

void print_passes(const std::shared_ptr<const Program>& p, Entries entries,
                  const std::string& list) {
  const Passes chosen = parse_passes(list);
  print("\npasses");
  const auto passes = all_passes();
  for (size_t i = 0; i < passes.size(); ++i) {
    print(concat(chosen.has(static_cast<Pass>(i)) ? "  on   " : "  off  ",
                 passes[i].name, ": ", passes[i].summary));
  }
  SessionOptions options;
  options.passes = list;
  Session session(p, options);
  for (const Signature* s : entries) {
    const std::vector<std::string> steps = steps_of(session, *s);
    print(concat("\n", s->key, ": ", steps.size(), " steps"));
    for (const std::string& step : steps) print(concat("  ", step));
  }
}

void print_text(const Program& p, Entries entries, const std::string& path,
                bool verbose) {
  print(concat(path, ": ", grouped(static_cast<int64_t>(p.source->size())),
               " bytes"));
  Sizes trainable, other;
  for (const Constant& c : p.constants) {
    (c.trainable ? trainable : other).add(c.data);
  }
  print(concat("parameters: ", trainable.text()));
  print(concat("other weights and state: ", other.text()));
  print(concat("samples to check it with: ", p.goldens.size()));
  for (const auto& [key, value] : p.metadata) {
    const size_t end = value.find('\n');
    const bool more = end != std::string::npos;
    print(concat(key, ": ", value.substr(0, end), more ? "\n  ..." : ""));
  }
  for (const Signature* s : entries) print_signature(p, *s, verbose);
  if (!verbose) return;
  print("\nweights and state");
  for (const Constant& c : p.constants) {
    print(concat("  ", c.name, "  ", c.data.dtype(), " ", c.data.shape(),
                 c.trainable ? "  trainable" : ""));
  }
}

void json_value(Json& j, const Program& p, const std::string& label,
                const Value& v) {
  j.begin('{').key("name").text(label).key("dtype").text(name(v.dtype));
  j.key("shape").begin('[');
  for (const DimSpec& d : v.dims) {
    if (d.symbol >= 0) {
      j.text(p.symbols[d.symbol].name);
    } else if (d.fixed) {
      j.number(d.value);
    } else {
      j.text("?");
    }
  }
  j.end(']').end('}');
}

void json_nodes(Json& j, const Program& p, const Graph& g) {
  j.key("nodes").begin('[');
  for (const Node& n : g.nodes) {
    const Schema& schema = info_of(*n.op).schema;
    j.begin('{').key("op").text(n.op->name);
    j.key("version").number(int64_t{n.op->version}).key("args").begin('{');
    for (size_t k = 0; k < n.args.size(); ++k) {
      if (n.args[k].tag == ArgTag::none) continue;
      j.key(schema.params[k].name).text(arg_text(g, n.args[k]));
    }
    j.end('}').key("results").begin('[');
    for (int32_t v : n.outputs) j.text(value_name(g, v));
    j.end(']').key("where").text(n.where).key("regions").begin('[');
    for (int32_t r : n.regions) {
      j.begin('{').key("name").text(p.graphs[r].name);
      json_nodes(j, p, p.graphs[r]);
      j.end('}');
    }
    j.end(']').end('}');
  }
  j.end(']');
}

void json_signature(Json& j, const Program& p, const Signature& s,
                    bool verbose) {
  const Graph& g = p.graphs[s.graph];
  j.begin('{').key("name").text(s.key).key("inputs").begin('[');
  for (size_t i = 0; i < g.inputs.size(); ++i) {
    json_value(j, p, s.inputs[i], g.values[g.inputs[i]]);
  }
  j.end(']').key("outputs").begin('[');
  for (size_t i = 0; i < g.outputs.size(); ++i) {
    json_value(j, p, s.outputs[i], g.values[g.outputs[i]]);
  }
  j.end(']').key("writes").begin('[');
  for (const StateUpdate& u : s.state_updates) {
    j.text(p.constants[u.constant].name);
  }
  j.end(']').key("ops").begin('{');
  for (const OpCount& c : count_ops(g)) j.key(c.name).number(c.n);
  j.end('}');
  if (verbose) json_nodes(j, p, g);
  j.end('}');
}

void print_json(const Program& p, Entries entries, const std::string& path,
                bool verbose) {
  Json j;
  j.begin('{').key("file").text(path);
  j.key("bytes").number(static_cast<int64_t>(p.source->size()));
  j.key("symbols").begin('[');
  for (const Symbol& s : p.symbols) {
    j.begin('{').key("name").text(s.name).key("min").number(s.min);
    j.key("max").number(s.max).key("multiple").number(s.multiple);
    if (s.of >= 0) {
      j.key("of").text(p.symbols[s.of].name).key("factor").number(s.factor);
      j.key("offset").number(s.offset);
    }
    j.end('}');
  }
  j.end(']').key("signatures").begin('[');
  for (const Signature* s : entries) json_signature(j, p, *s, verbose);
  j.end(']').key("weights").begin('[');
  for (const Constant& c : p.constants) {
    j.begin('{').key("name").text(c.name);
    j.key("dtype").text(name(c.data.dtype()));
    j.key("shape").list(c.data.shape());
    j.key("trainable").boolean(c.trainable).end('}');
  }
  j.end(']').key("samples").number(static_cast<int64_t>(p.goldens.size()));
  j.key("metadata").begin('{');
  for (const auto& [key, value] : p.metadata) j.key(key).text(value);
  j.end('}').end('}');
  print(j.str());
}

int run(int argc, char** argv) {
  const Args args(argc, argv, kOptions);
  const auto program = open_program(args.file());
  const bool verbose = args.has("-v");
  std::vector<const Signature*> entries;
  if (args.has("--entry") || args.has("--signature")) {
    entries.push_back(&entry_of(*program, args, ""));
  } else {
    for (const Signature& s : program->signatures) entries.push_back(&s);
  }
  if (args.has("--dot")) {
    print(dot_text(*program, entries));
  } else if (args.has("--json")) {
    print_json(*program, entries, args.file(), verbose);
  } else {
    print_text(*program, entries, args.file(), verbose);
    if (args.has("--passes")) {
      print_passes(program, entries, args.get("--passes"));
    }
  }
  return kSuccess;
}

}  // namespace

const Command kInspect = {"inspect", "say what is in a file", kHelp, run};

}  // namespace ferrule::tool
