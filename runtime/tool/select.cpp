// `ferrule select`: the ops and dtypes that models need, for a build with these
// alone.
#include <algorithm>

#include "runtime/core/json.h"
#include "runtime/format/file_out.h"
#include "runtime/tool/commands.h"

namespace ferrule::tool {
namespace {

constexpr char kHelp[] =
    R"(usage: ferrule select [--output FILE] [--json] FILE...

Lists what these models need, one a line: the ops that they run, the dtypes of
their operands and results, and `state` if they write weights or statistics, as
training does. A runtime that has these alone, and so is small, is built by

  cmake -DFERRULE_RUNTIME_ONLY=ON -DFERRULE_OPS=FILE ...

or, without this command, by -DFERRULE_MODELS="a.fer;b.fer". It refuses models
that need others, and names the ops that are missing. A list of ops alone gives
all dtypes. -DFERRULE_ISA=v3 leaves one instruction set, -DFERRULE_SMALL=ON
prefers small code to fast.

  --output FILE   write the list there
  --json          as a JSON array of objects: name, version (of an op, else 0),
                  and the signatures that need it, as FILE:SIGNATURE

Exit code: 0; 2 for a wrong command line; 3 for an error.
)";

struct Use {
  std::string_view name;
  int64_t version;  // of an op; else 0
  std::vector<std::string> where;
};

class Uses {
 public:
  void add_graph(const Program& p, const Graph& g, const std::string& where) {
    for (const Node& n : g.nodes) {
      add(n.op->name, n.op->version, where);
      for (const NodeArg& a : n.args) {
        if (a.tag == ArgTag::tensor) add_value(g, a.value, where);
        for (int32_t v : a.values) add_value(g, v, where);
      }
      for (int32_t v : n.outputs) add_value(g, v, where);
      if (changes_state(n)) add("state", 0, where);
      for (int32_t r : n.regions) add_graph(p, p.graphs[r], where);
    }
  }
  // Ops by name, then what else there is.
  std::vector<Use> sorted() && {
    std::ranges::sort(all_, {}, [](const Use& u) {
      return std::pair(u.version == 0, u.name);
    });
    return std::move(all_);
  }

 private:
  void add(std::string_view name, int64_t version, const std::string& where) {
    auto use = std::ranges::find(all_, name, &Use::name);
    if (use == all_.end()) use = all_.insert(use, Use{name, version, {}});
    if (std::ranges::find(use->where, where) == use->where.end()) {
      use->where.push_back(where);
    }
  }
  void add_value(const Graph& g, int32_t v, const std::string& where) {
    if (v >= 0) add(name(g.values[v].dtype), 0, where);
  }
  static bool changes_state(const Node& n) {
    Arg args[kMaxArgs];
    for (size_t i = 0; i < n.args.size(); ++i) {
      if (n.args[i].tag == ArgTag::bool_) args[i] = Arg(n.args[i].b);
    }
    return writes(info_of(*n.op), args);
  }

  std::vector<Use> all_;
};

std::string json(const std::vector<Use>& uses) {
  Json j;
  j.begin('[');
  for (const Use& u : uses) {
    j.begin('{').key("name").text(u.name);
    j.key("version").number(u.version).key("where").begin('[');
    for (const std::string& w : u.where) j.text(w);
    j.end(']').end('}');
  }
  return j.end(']').str() + "\n";
}

int run(int argc, char** argv) {
  const Option known[] = {{"--output"}, {"--json", false}};
  const Args args(argc, argv, known);
  Uses found;
  for (const std::string& path : args.files()) {
    const auto program = open_program(path);
    for (const Signature& s : program->signatures) {
      found.add_graph(*program, program->graphs[s.graph],
                      concat(path, ":", s.key));
    }
  }
  const std::vector<Use> uses = std::move(found).sorted();
  std::string text;
  if (args.has("--json")) {
    text = json(uses);
  } else {
    for (const Use& u : uses) append(text, concat(u.name, "\n"));
  }
  if (!args.has("--output")) {
    print(std::string_view(text).substr(0, text.size() - !text.empty()));
    return kSuccess;
  }
  FileOut file(args.get("--output"));
  file.write(text.data(), text.size());
  file.commit();
  const auto ops =
      std::ranges::count_if(uses, [](const Use& u) { return u.version != 0; });
  print(concat(ops, ops == 1 ? " op" : " ops"));
  return kSuccess;
}

}  // namespace

const Command kSelect = {"select", "list the ops for a small build", kHelp,
                         run};

}  // namespace ferrule::tool
