// Parses command lines.
#include "runtime/tool/args.h"

#include <algorithm>
#include <charconv>

#include "ferrule/error.h"

namespace ferrule::tool {

Args::Args(int argc, char** argv, std::span<const Option> known)
    : command_(argv[0]) {
  for (int i = 1; i < argc; ++i) {
    std::string_view text = argv[i];
    if (text.size() < 2 || text[0] != '-') {
      positional_.emplace_back(text);
      continue;
    }
    // "--name value" and "--name=value" are the same.
    const size_t equals =
        text.starts_with("--") ? text.find('=') : std::string_view::npos;
    const std::string_view name = text.substr(0, equals);
    const auto option = std::ranges::find(known, name, &Option::name);
    if (option == known.end()) {
      throw UsageError{concat("unknown option ", name)};
    }
    std::string value;
    if (option->has_value) {
      if (equals != std::string_view::npos) {
        value = text.substr(equals + 1);
      } else if (++i < argc) {
        value = argv[i];
      } else {
        throw UsageError{concat(name, " needs a value")};
      }
    } else if (equals != std::string_view::npos) {
      throw UsageError{concat(name, " takes no value")};
    }
    options_.emplace_back(name, std::move(value));
  }
}

const std::string& Args::file() const {
  if (positional_.size() != 1) {
    throw UsageError{
        concat(command_, " takes one model file, got ", positional_.size())};
  }
  return positional_[0];
}

void Args::no_files() const {
  if (positional_.empty()) return;
  throw UsageError{
      concat(command_, " takes no file, got '", positional_[0], "'")};
}

const std::vector<std::string>& Args::files() const {
  if (positional_.empty()) {
    throw UsageError{concat(command_, " takes one or more model files")};
  }
  return positional_;
}

bool Args::has(std::string_view name) const {
  return std::ranges::any_of(options_,
                             [&](const auto& o) { return o.first == name; });
}

std::string Args::get(std::string_view name, std::string_view fallback) const {
  std::string out(fallback);
  for (const auto& [n, value] : options_) {
    if (n == name) out = value;
  }
  return out;
}

int64_t Args::count(std::string_view name, int64_t fallback) const {
  return has(name) ? positive(name, get(name)) : fallback;
}

int64_t positive(std::string_view name, const std::string& text) {
  int64_t n = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size() || n < 1) {
    throw UsageError{
        concat(name, " takes a positive number, got '", text, "'")};
  }
  return n;
}

std::vector<std::string> Args::all(std::string_view name) const {
  std::vector<std::string> out;
  for (const auto& [n, value] : options_) {
    if (n == name) out.push_back(value);
  }
  return out;
}

double Args::number(std::string_view name) const {
  if (!has(name)) return 0;
  const std::string text = get(name);
  double x = -1;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), x);
  if (error != std::errc() || end != text.data() + text.size() || !(x >= 0)) {
    throw UsageError{
        concat(name, " takes a number that is not negative, got '", text, "'")};
  }
  return x;
}

std::vector<std::pair<std::string, std::string>> Args::pairs(
    std::string_view name) const {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& [n, value] : options_) {
    if (n != name) continue;
    const size_t equals = value.find('=');
    if (equals == std::string::npos) {
      out.emplace_back("", value);
    } else {
      out.emplace_back(value.substr(0, equals), value.substr(equals + 1));
    }
  }
  return out;
}

}  // namespace ferrule::tool
