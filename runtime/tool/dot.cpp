// `ferrule inspect --dot`: pictures of graphs, to be drawn by Graphviz.
#include "runtime/tool/dot.h"

#include <algorithm>
#include <vector>

#include "runtime/graph/node_text.h"
#include "runtime/tool/graph_text.h"

namespace ferrule::tool {
namespace {

// A string of the DOT language.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

class Drawing {
 public:
  explicit Drawing(const Program& program) : p_(program) {
    text_ = "digraph model {\n"
            "  graph [compound=true, fontname=\"sans-serif\"];\n"
            "  node [shape=box, fontname=\"sans-serif\", style=filled];\n";
  }

  // A frame with a graph in it; the number of its first box, or -1.
  int frame(const std::string& title, const Graph& g,
            const std::vector<std::string>& inputs,
            const std::vector<std::string>& outputs, const std::string& in) {
    const int first = boxes_;
    text_ += concat(in, "subgraph cluster_", frames_++, " {\n", in,
                    "  label=", quoted(title), ";\n");
    std::vector<int> made_by(g.values.size(), -1);
    for (size_t i = 0; i < g.inputs.size(); ++i) {
      made_by[g.inputs[i]] = end("input", inputs[i], g, g.inputs[i], in);
    }
    for (const Node& n : g.nodes) draw(g, n, made_by, in + "  ");
    for (size_t i = 0; i < g.outputs.size(); ++i) {
      const int to = end("output", outputs[i], g, g.outputs[i], in);
      arrow(made_by[g.outputs[i]], to, in + "  ");
    }
    text_ += in + "}\n";
    return first < boxes_ ? first : -1;
  }

  std::string finish() { return text_ + "}"; }

 private:
  int box(const std::string& label, const std::string& tip,
          std::string_view look, const std::string& in) {
    text_ += concat(in, "n", boxes_, " [label=", quoted(label),
                    ", tooltip=", quoted(tip), ", ", look, "];\n");
    return boxes_++;
  }

  // An input or a result.
  int end(std::string_view kind, const std::string& name, const Graph& g,
          int32_t value, const std::string& in) {
    const std::string type = typed(p_, g.values[value]);
    const char* color = kind == "input" ? "#e3f4e3" : "#fdeedd";
    return box(concat(name, "\n", type), concat(kind, " ", name, ": ", type),
               concat("shape=ellipse, fillcolor=\"", color, "\""), in + "  ");
  }

  void arrow(int from, int to, const std::string& in) {
    if (from >= 0) text_ += concat(in, "n", from, " -> n", to, ";\n");
  }

  void draw(const Graph& g, const Node& n, std::vector<int>& made_by,
            const std::string& in) {
    std::string label(n.op->name), tip = node_line(g, n);
    if (!n.outputs.empty()) {
      label += "\n" + typed(p_, g.values[n.outputs[0]]);
    }
    if (!n.where.empty()) tip += "\n" + n.where;
    const int to = box(
        label, tip,
        n.regions.empty() ? "fillcolor=\"#e8eefb\"" : "fillcolor=\"#f3e8fb\"",
        in);
    std::vector<int> from;
    const auto use = [&](int32_t v) {
      const int maker = v < 0 ? -1 : made_by[v];
      if (std::ranges::count(from, maker) == 0) from.push_back(maker);
    };
    for (const NodeArg& a : n.args) {
      if (a.tag == ArgTag::tensor) use(a.value);
      for (const int32_t v : a.values) use(v);
    }
    for (const int maker : from) arrow(maker, to, in);
    for (const int32_t v : n.outputs) made_by[v] = to;
    for (const int32_t r : n.regions) draw_region(p_.graphs[r], to, in);
  }

  // A graph that a node runs.
  void draw_region(const Graph& g, int node, const std::string& in) {
    std::vector<std::string> inputs, outputs;
    for (const int32_t v : g.inputs) inputs.push_back(value_name(g, v));
    for (const int32_t v : g.outputs) outputs.push_back(value_name(g, v));
    const int number = frames_;
    const int first = frame(g.name, g, inputs, outputs, in);
    if (first < 0) return;
    text_ += concat(in, "n", node, " -> n", first,
                    " [style=dashed, lhead=", "cluster_", number, "];\n");
  }

  const Program& p_;
  std::string text_;
  int boxes_ = 0, frames_ = 0;
};

}  // namespace

std::string dot_text(const Program& program,
                     std::span<const Signature* const> entries) {
  Drawing drawing(program);
  for (const Signature* s : entries) {
    drawing.frame(s->key, program.graphs[s->graph], s->inputs, s->outputs,
                  "  ");
  }
  return drawing.finish();
}

}  // namespace ferrule::tool
