// Mutations of model files, for the test and for the fuzzer (tests/fuzz): of
// bytes, and of what the bytes mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ferrule::test {

using Bytes = std::vector<std::byte>;

struct Random {
  uint64_t state;
  uint64_t next() {  // xorshift64*
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545F4914F6CDD1D;
  }
  uint64_t below(uint64_t n) { return n ? (next() >> 11) % n : 0; }
};

// Where the numbers in a file's metadata stand, and its tables that may be
// exchanged. Of a well-formed file only.
struct Slot {
  size_t offset;
  size_t size;
};
struct Link {  // an offset to a table, in a vector of its siblings
  size_t offset;
  size_t siblings;  // first of `count` offsets
  size_t count;
};
struct Fields {
  explicit Fields(const Bytes& file);
  std::vector<Slot> slots;
  std::vector<Link> links;
};

// Are header, checksums and metadata well-formed, and is there data to change?
bool is_well_formed(const Bytes& file);

// Changes a well-formed file; most of the time its checksums are right after.
void mutate(Bytes& file, const Fields& fields, Random& r);

// Makes the checksums right, as far as the header can be believed.
void seal(Bytes& file);

// Files to start from: a linear model with a sample, a training step,
// convolution with sizes chosen at run time, control flow.
std::vector<Bytes> seed_files();

// What became of files, and of the signatures that were run.
struct Tally {
  int refused = 0, accepted = 0, ran = 0, failed_to_run = 0;
  int unexplained = 0;  // errors without a text
  std::string last_error;
};
// Loads the file and runs all of its signatures, in bounds of memory and steps.
void load_and_run(std::span<const std::byte> file, Tally& tally);

}  // namespace ferrule::test
