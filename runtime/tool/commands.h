// The subcommands of `ferrule`, and what they share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ferrule/session.h"
#include "runtime/tool/args.h"

namespace ferrule::tool {

struct Command {
  std::string_view name;
  const char* summary;
  const char* help;
  int (*run)(int argc, char** argv);  // argv[0]: the name
};

extern const Command kRun, kTrain, kInspect, kCheck, kBench, kDiff, kSelect,
    kOps;

// The signature asked for; throws ValueError that lists what there is.
const Signature& find_signature(const Program& program, const std::string& key);
// The one that --entry names, or --signature.
const Signature& entry_of(const Program& program, const Args& args,
                          const std::string& fallback);
// The same; without either "forward", or the only one.
const Signature& entry_to_run(const Program& program, const Args& args);

// What --threads says, or `fallback`, becomes the number of threads.
void set_threads(const Args& args, int64_t fallback);

// The files of --input in the order of the signature's inputs.
std::vector<Tensor> read_inputs(const Program& program,
                                const Signature& signature, const Args& args);

// Cuts inputs into batches along their first dimension.
class Batches {
 public:
  // `size` 0: everything at once, or what the model fixes.
  Batches(const Program& program, const Signature& signature,
          std::vector<Tensor> inputs, int64_t size);

  int64_t count() const { return count_; }
  int64_t rows() const { return rows_; }  // 0: nothing is cut
  // Valid until the next call.
  const std::vector<Tensor>& at(int64_t index);

 private:
  std::vector<Tensor> inputs_, now_;
  std::vector<bool> cut_;
  int64_t rows_ = 0, size_ = 0, count_ = 1;
};

void print(std::string_view text);  // to standard output, with a newline

// "12,345"
std::string grouped(int64_t n);
// "1.5 MB"
std::string bytes_text(int64_t n);
double seconds();  // a clock

}  // namespace ferrule::tool
