// The first 64 bytes of a `.fer` file, and the rules of its layout. See
// docs/format.md.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ferrule::file {

inline constexpr uint64_t kHeaderBytes = 64;
inline constexpr uint64_t kSegmentAlign = 16 * 1024;
inline constexpr uint64_t kTensorAlign = 64;
inline constexpr uint16_t kMajor = 1, kMinor = 0;

// Limits; a file beyond them is refused.
inline constexpr uint64_t kMaxMetadata = uint64_t{64} << 20;
inline constexpr uint64_t kMaxString = 64 << 10;
inline constexpr int64_t kMaxDim = int64_t{1} << 40;
inline constexpr size_t kMaxNodes = 1'000'000;
inline constexpr size_t kMaxGraphs = 4096;

constexpr uint64_t align_up(uint64_t n, uint64_t step) {
  return (n + step - 1) / step * step;
}

struct Header {
  uint16_t major = kMajor, minor = kMinor;
  uint64_t metadata_size = 0;  // from byte 0
  uint64_t data_offset = 0;
  uint64_t data_size = 0;
};

// Checks everything that the first 64 bytes say against the file's bytes:
// length, checksums, bounds. Throws FormatError.
Header parse_header(const std::byte* file, uint64_t size);

// Fills bytes [8, 64) of `file` and both checksums; the metadata must be in
// place.
void write_header(std::byte* file, const Header& header);

}  // namespace ferrule::file
