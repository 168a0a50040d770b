// Passes: what is done to the graph of a program before it runs. The table in
// passes.cpp lists them in the order in which they run.
//
//   Passes p = parse_passes("-epilogues");  // all that run by default but one
//
// A pass that is `exact` leaves every bit of the results as it is; the others
// keep them within rounding, and do not run by default.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "runtime/core/built.h"

namespace ferrule {

enum class Pass : uint8_t {
  algebra,
  cse,
  dce,
  fold,
  prepare,
  epilogues,
  tiles,
};

struct PassInfo {
  std::string_view name;
  const char* summary;
  bool exact;
};

// In the order of Pass.
std::span<const PassInfo> all_passes();

// Small builds have those alone that save memory in every network: the code of
// the others is more than what they gain.
constexpr bool built(Pass p) {
  return !kSmall || p == Pass::dce || p == Pass::epilogues;
}

class Passes {
 public:
  bool has(Pass p) const {
    return built(p) && (bits_ >> static_cast<int>(p) & 1) != 0;
  }
  void set(Pass p, bool on) {
    const uint32_t bit = 1u << static_cast<int>(p);
    bits_ = on ? bits_ | bit : bits_ & ~bit;
  }

 private:
  uint32_t bits_ = 0;
};

// "" : those that run by default. Otherwise a list, separated by commas, read
// from left to right: "none", "default" and "all" are sets, "NAME" adds a pass
// and "-NAME" takes one away. Throws ValueError for an unknown name.
Passes parse_passes(std::string_view text);

// The same, but "" stands for the environment variable FERRULE_PASSES.
Passes chosen_passes(std::string_view text);

}  // namespace ferrule
