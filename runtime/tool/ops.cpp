// `ferrule ops`: what this runtime can run.
#include <algorithm>

#include "ferrule/op.h"
#include "runtime/core/json.h"
#include "runtime/tool/commands.h"

namespace ferrule::tool {
namespace {

constexpr char kHelp[] =
    R"(usage: ferrule ops [--json]

Lists the ops of this runtime, one a line: name, version, signature, and how a
model runs it: by a kernel (cpu), as a view of its input's memory, as parts: other
ops stand in a file in its place, or by running graphs.

  --json   as a JSON array of objects
)";

const char* way_of(const OpDef& op) {
  if (op.runs_graphs) return "graphs";
  return info_of(op).cpu ? "cpu" : op.infer ? "view" : "parts";
}

std::string padded(std::string text, size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

std::string table() {
  size_t width = 0;
  for (const OpDef* op : all_ops()) {
    width = std::max(width, std::string_view(op->name).size());
  }
  std::string lines;
  for (const OpDef* op : all_ops()) {
    append(lines, concat(padded(op->name, width), "  v", op->version, "  ",
                         padded(way_of(*op), 6), "  (", op->sig, ")\n"));
  }
  lines.pop_back();
  return lines;
}

std::string json() {
  Json j;
  j.begin('[');
  for (const OpDef* op : all_ops()) {
    j.begin('{').key("name").text(op->name);
    j.key("version").number(int64_t{op->version});
    j.key("sig").text(op->sig).key("way").text(way_of(*op)).end('}');
  }
  return j.end(']').str();
}

int run(int argc, char** argv) {
  const Option known[] = {{"--json", false}};
  const Args args(argc, argv, known);
  args.no_files();
  print(args.has("--json") ? json() : table());
  return kSuccess;
}

}  // namespace

const Command kOps = {"ops", "list what can be run", kHelp, run};

}  // namespace ferrule::tool
