// Command line arguments of the `ferrule` command.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ferrule::tool {

// Exit codes, also in `ferrule --help`.
inline constexpr int kSuccess = 0;
inline constexpr int kDiffers = 1;
inline constexpr int kUsage = 2;
inline constexpr int kError = 3;

// A wrong command line: exit code kUsage.
struct UsageError {
  std::string text;
};

// The number that `text` is; UsageError if option `name` cannot be that.
int64_t positive(std::string_view name, const std::string& text);

struct Option {
  std::string_view name;  // "--input"
  bool has_value = true;
};

class Args {
 public:
  // argv[0] is the subcommand. Throws UsageError for what is not in `known`.
  Args(int argc, char** argv, std::span<const Option> known);
  Args() = default;  // nothing is given

  // The one positional argument: the model file.
  const std::string& file() const;
  void no_files() const;  // of a command that takes none
  // One or more of them.
  const std::vector<std::string>& files() const;
  bool has(std::string_view name) const;
  // The last one given, or `fallback`.
  std::string get(std::string_view name, std::string_view fallback = "") const;
  // All that are given, in order.
  std::vector<std::string> all(std::string_view name) const;
  // A positive number, or `fallback` when it is not given.
  int64_t count(std::string_view name, int64_t fallback) const;
  // A number that is not negative, or 0 when it is not given.
  double number(std::string_view name) const;
  // All of "--input NAME=FILE" in order; NAME is "" where there is no '='.
  std::vector<std::pair<std::string, std::string>> pairs(
      std::string_view name) const;

 private:
  std::string command_;
  std::vector<std::string> positional_;
  std::vector<std::pair<std::string, std::string>> options_;
};

}  // namespace ferrule::tool
