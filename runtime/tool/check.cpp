// `ferrule check`: verifies files and runs the samples in them.
#include <cstdio>

#include "runtime/tool/commands.h"

namespace ferrule::tool {
namespace {

constexpr char kHelp[] =
    R"(usage: ferrule check [option] FILE...

Verifies every byte of model files, and runs the samples in them: do they give
on this machine, bit by bit, what they gave where the model was made?

  --tolerance R   let floating point numbers differ by R times the largest of
                  1 and the numbers of the sample: for a machine with another
                  instruction set, whose last bits are others. 1e-5 suits
                  float32.

Exit code: 0; 1 when a sample differs; 2 for a wrong command line; 3 when a
file is damaged. With several files all are checked, and the worst counts.
)";

struct Count {
  size_t files = 0, samples = 0, bad = 0;
};

// The exit code for one file.
int check_file(const std::string& path, double tolerance, bool alone,
               Count& count) {
  const std::string at = alone ? std::string() : path + ": ";
  ++count.files;
  try {
    const auto program = open_program(path, Verify::full);
    Session session(program);
    count.samples += program->goldens.size();
    const std::string differs = session.check_goldens(tolerance);
    if (differs.empty()) return kSuccess;
    print(concat(at, "differs: ", differs));
    ++count.bad;
    return kDiffers;
  } catch (const std::exception& e) {
    if (alone) throw;
    std::fprintf(stderr, "%s%s\n", at.c_str(), e.what());
    ++count.bad;
    return kError;
  }
}

int run(int argc, char** argv) {
  const Option known[] = {{"--tolerance"}};
  const Args args(argc, argv, known);
  const double tolerance = args.number("--tolerance");
  const bool alone = args.files().size() == 1;
  Count count;
  int worst = kSuccess;
  for (const std::string& path : args.files()) {
    worst = std::max(worst, check_file(path, tolerance, alone, count));
  }
  const std::string_view same = tolerance > 0
                                    ? " the same results here, as far as asked"
                                    : " bitwise the same results here";
  if (!alone) {
    print(concat(count.files, " files, ", count.bad, " bad; ", count.samples,
                 " samples", count.bad == 0 ? " give" : "",
                 count.bad == 0 ? same : ""));
  } else if (worst == kSuccess) {
    print(count.samples == 0
              ? std::string("the file is intact; it has no samples")
              : concat("the file is intact; ", count.samples,
                       count.samples == 1 ? " sample gives" : " samples give",
                       same));
  }
  return worst;
}

}  // namespace

const Command kCheck = {"check", "verify files and test them on this machine",
                        kHelp, run};

}  // namespace ferrule::tool
