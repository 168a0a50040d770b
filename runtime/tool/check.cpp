// `ferrule check`: verifies a file and runs the samples in it.
#include "runtime/tool/commands.h"

namespace ferrule::tool {
namespace {

constexpr char kHelp[] =
    R"(usage: ferrule check FILE

Verifies every byte of a model file, and runs the samples in it: do they give
on this machine, bit by bit, what they gave where the model was made?

Exit code: 0; 1 when a sample differs; 2 for a wrong command line; 3 when the
file is damaged.
)";

int run(int argc, char** argv) {
  const Args args(argc, argv, {});
  const auto program = open_program(args.file(), Verify::full);
  Session session(program);
  const std::string differs = session.check_goldens();
  if (!differs.empty()) {
    print(concat("differs: ", differs));
    return kDiffers;
  }
  const size_t n = program->goldens.size();
  print(n == 0 ? std::string("the file is intact; it has no samples")
               : concat("the file is intact; ", n,
                        n == 1 ? " sample gives" : " samples give",
                        " bitwise the same results here"));
  return kSuccess;
}

}  // namespace

const Command kCheck = {"check", "verify a file and test it on this machine",
                        kHelp, run};

}  // namespace ferrule::tool
