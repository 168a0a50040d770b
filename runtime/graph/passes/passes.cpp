// The table of passes, and how they are chosen.
#include "runtime/graph/passes/passes.h"

#include <cstdlib>

#include "ferrule/error.h"

namespace ferrule {
namespace {

constexpr PassInfo kPasses[] = {
    {"algebra", "calls that change nothing go, by what their ops know", true},
    {"cse", "of nodes that compute the same, one is left", true},
    {"dce", "nodes whose results nobody reads go", true},
    {"fold", "what depends on weights alone is computed once", true},
    {"prepare",
     "weights are brought into the form that kernels read them in, once", true},
    {"epilogues",
     "batch norm, addition and activation follow a product tile by tile", true},
    {"tiles", "elementwise nodes run together, tile by tile", true},
};
constexpr int kCount = static_cast<int>(std::size(kPasses));

Passes choose(bool all, bool inexact) {
  Passes p;
  for (int i = 0; i < kCount; ++i) {
    p.set(static_cast<Pass>(i), all && (inexact || kPasses[i].exact));
  }
  return p;
}

void apply(Passes& passes, std::string_view item) {
  if (item == "none") passes = choose(false, false);
  if (item == "default") passes = choose(true, false);
  if (item == "all") passes = choose(true, true);
  if (item == "none" || item == "default" || item == "all") return;
  const bool on = !item.starts_with('-');
  const std::string_view name = on ? item : item.substr(1);
  for (int i = 0; i < kCount; ++i) {
    if (kPasses[i].name != name) continue;
    return passes.set(static_cast<Pass>(i), on);
  }
  std::string known;
  for (const PassInfo& p : kPasses) known += concat(", ", p.name);
  fail<ValueError>("there is no pass '", name,
                   "'; there are none, default, all", known);
}

}  // namespace

std::span<const PassInfo> all_passes() { return kPasses; }

Passes parse_passes(std::string_view text) {
  Passes passes = choose(true, false);
  while (!text.empty()) {
    const size_t end = text.find(',');
    apply(passes, text.substr(0, end));
    text = end == text.npos ? "" : text.substr(end + 1);
  }
  return passes;
}

Passes chosen_passes(std::string_view text) {
  if (!text.empty()) return parse_passes(text);
  const char* variable = std::getenv("FERRULE_PASSES");
  if (!variable) return parse_passes("");
  try {
    return parse_passes(variable);
  } catch (Error& e) {
    e.prepend("FERRULE_PASSES: ");
    throw;
  }
}

}  // namespace ferrule
