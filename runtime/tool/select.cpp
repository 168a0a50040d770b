// `ferrule select`: the ops that models need, for a build with these alone.
#include <algorithm>

#include "runtime/core/json.h"
#include "runtime/format/file_out.h"
#include "runtime/tool/commands.h"

namespace ferrule::tool {
namespace {

constexpr char kHelp[] =
    R"(usage: ferrule select [--output FILE] [--json] FILE...

Lists the ops that these models run, one a line. A runtime that has these alone,
and so is small, is built by

  cmake -DFERRULE_RUNTIME_ONLY=ON -DFERRULE_OPS=FILE ...

or, without this command, by -DFERRULE_MODELS="a.fer;b.fer". It refuses models
that need others, and names all that are missing.

  --output FILE   write the list there
  --json          as a JSON array of objects: name, version, and the signatures
                  that run it, as FILE:SIGNATURE

Exit code: 0; 2 for a wrong command line; 3 for an error.
)";

struct Use {
  const OpDef* op;
  std::vector<std::string> where;
};

void add_graph(const Program& p, const Graph& g, const std::string& where,
               std::vector<Use>& uses) {
  for (const Node& n : g.nodes) {
    auto use = std::ranges::find(uses, n.op, &Use::op);
    if (use == uses.end()) use = uses.insert(use, Use{n.op, {}});
    if (std::ranges::find(use->where, where) == use->where.end()) {
      use->where.push_back(where);
    }
    for (int32_t r : n.regions) add_graph(p, p.graphs[r], where, uses);
  }
}

std::string json(const std::vector<Use>& uses) {
  Json j;
  j.begin('[');
  for (const Use& u : uses) {
    j.begin('{').key("name").text(u.op->name);
    j.key("version").number(int64_t{u.op->version}).key("where").begin('[');
    for (const std::string& w : u.where) j.text(w);
    j.end(']').end('}');
  }
  return j.end(']').str() + "\n";
}

int run(int argc, char** argv) {
  const Option known[] = {{"--output"}, {"--json", false}};
  const Args args(argc, argv, known);
  std::vector<Use> uses;
  for (const std::string& path : args.files()) {
    const auto program = open_program(path);
    for (const Signature& s : program->signatures) {
      add_graph(*program, program->graphs[s.graph], concat(path, ":", s.key),
                uses);
    }
  }
  std::ranges::sort(uses, {},
                    [](const Use& u) { return std::string_view(u.op->name); });
  std::string text;
  if (args.has("--json")) {
    text = json(uses);
  } else {
    for (const Use& u : uses) append(text, concat(u.op->name, "\n"));
  }
  if (!args.has("--output")) {
    print(std::string_view(text).substr(0, text.size() - !text.empty()));
    return kSuccess;
  }
  FileOut file(args.get("--output"));
  file.write(text.data(), text.size());
  file.commit();
  print(concat(uses.size(), uses.size() == 1 ? " op" : " ops"));
  return kSuccess;
}

}  // namespace

const Command kSelect = {"select", "list the ops for a small build", kHelp,
                         run};

}  // namespace ferrule::tool
