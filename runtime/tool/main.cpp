// The `ferrule` command.
#include <cstdio>
#include <exception>

#include "ferrule/error.h"
#include "runtime/tool/commands.h"

namespace ferrule::tool {
namespace {

const Command* const kCommands[] = {&kRun,   &kTrain, &kInspect, &kCheck,
                                    &kBench, &kDiff,  &kSelect,  &kOps};

void print_help(std::FILE* to) {
  std::fputs("usage: ferrule COMMAND [arguments]\n\n", to);
  for (const Command* c : kCommands) {
    std::fprintf(to, "  %-10s%s\n", c->name.data(), c->summary);
  }
  std::fputs("  version   print the version\n"
             "\n`ferrule COMMAND --help` tells more.\n"
             "Exit codes: 0 success, 1 results differ, 2 wrong command line, "
             "3 error.\n",
             to);
}

int run_command(const Command& command, int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if (arg == "--help" || arg == "-h") {
      std::fputs(command.help, stdout);
      return kSuccess;
    }
  }
  try {
    return command.run(argc, argv);
  } catch (const UsageError& e) {
    std::fprintf(stderr, "ferrule %s: %s\n(ferrule %s --help)\n", argv[0],
                 e.text.c_str(), argv[0]);
    return kUsage;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "ferrule %s: %s\n", argv[0], e.what());
    return kError;
  }
}

int main(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  if (name == "--help" || name == "-h" || name == "help") {
    print_help(stdout);
    return kSuccess;
  }
  if (name == "version" || name == "--version") {
    std::puts("ferrule " FERRULE_VERSION);
    return kSuccess;
  }
  for (const Command* c : kCommands) {
    if (c->name == name) return run_command(*c, argc - 1, argv + 1);
  }
  if (!name.empty()) {
    std::fprintf(stderr, "ferrule: unknown command '%s'\n", argv[1]);
  }
  print_help(stderr);
  return kUsage;
}

}  // namespace
}  // namespace ferrule::tool

int main(int argc, char** argv) { return ferrule::tool::main(argc, argv); }
