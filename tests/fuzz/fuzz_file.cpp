// Fuzzer of model files (tools/fuzz file): whatever the bytes, the file is
// refused with a reason, or accepted and run.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/cpp/file_mutations.h"

using namespace ferrule::test;

extern "C" {

size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Tally tally;
  load_and_run({reinterpret_cast<const std::byte*>(data), size}, tally);
  if (tally.unexplained) {
    std::fprintf(stderr, "an error without a reason: '%s'\n",
                 tally.last_error.c_str());
    std::abort();
  }
  return 0;
}

// Mutates by meaning, or by bytes with the checksums made right, so that what
// lies behind them is reached.
size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                               unsigned seed) {
  static const std::vector<Bytes> seeds = seed_files();
  Random r{uint64_t{seed} * 2 + 1};
  for (int k = 0; k < 8; ++k) r.next();  // seeds that are alike part
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  Bytes file(bytes, bytes + size);
  const bool well_formed = is_well_formed(file);
  if (!well_formed && r.below(2)) {
    file = seeds[r.below(seeds.size())];
  } else if (well_formed && r.below(4)) {
    mutate(file, Fields(file), r);
  } else {
    file.resize(max_size);
    file.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(file.data()), size,
                                 max_size));
    if (r.below(8)) seal(file);
  }
  if (file.size() > max_size) file.resize(max_size);
  if (!file.empty()) std::memcpy(data, file.data(), file.size());
  return file.size();
}

}  // extern "C"
