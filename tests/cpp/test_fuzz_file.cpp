// 50,000 mutations of model files: each is refused with an error, or accepted
// and run. Never a crash, never undefined behaviour (run it under ASan, UBSan).
#include <doctest/doctest.h>

#include <cstdlib>

#include "file_mutations.h"

using namespace ferrule::test;

TEST_CASE("mutated files are refused or run, 50,000 of them") {
  const std::vector<Bytes> files = seed_files();
  std::vector<Fields> fields;
  for (const Bytes& f : files) fields.emplace_back(f);
  Tally tally;
  for (const Bytes& f : files) load_and_run(f, tally);
  CHECK(tally.last_error == "");
  CHECK(tally.accepted == 4);
  CHECK(tally.ran == 5);
  // Another run of mutations: FERRULE_FUZZ_SEED=7 ferrule_tests ...
  const char* seed = std::getenv("FERRULE_FUZZ_SEED");
  Random r{seed ? std::strtoull(seed, nullptr, 10) * 2 + 1 : 20240607};
  Bytes file;
  for (int i = 0; i < 50'000; ++i) {
    const size_t k = r.below(files.size());
    file = files[k];
    mutate(file, fields[k], r);
    CAPTURE(i);
    load_and_run(file, tally);
  }
  MESSAGE("refused ", tally.refused, ", accepted ", tally.accepted,
          ", signatures run ", tally.ran, ", errors while running ",
          tally.failed_to_run);
  CHECK(tally.unexplained == 0);
  CHECK(tally.refused > 30'000);
  CHECK(tally.ran > 1'000);
}
