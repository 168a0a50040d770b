// Reads and writes the extended header.
//
//   0  u32 root offset of the FlatBuffer    24  u64 size of the metadata
//   4  "FER1"                               32  u64 offset of the data
//   8  u32 magic                            40  u64 size of the data
//  12  u32 size of the header: 64           48  u32 CRC32C of [64, metadata)
//  16  u16 major, u16 minor                 52  8 bytes, zero
//  20  u32 flags: 0                         60  u32 CRC32C of [0, 60)
#include "runtime/format/container.h"

#include <bit>
#include <cstring>

#include "ferrule/error.h"
#include "runtime/core/crc32c.h"

namespace ferrule::file {
namespace {

static_assert(std::endian::native == std::endian::little,
              "files are little-endian and mapped as they are");

constexpr uint32_t kMagic = 0x0A1A'6546;  // "Fe", Ctrl-Z, line feed

template <class T>
T get(const std::byte* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template <class T>
void put(std::byte* p, T v) {
  std::memcpy(p, &v, sizeof v);
}

}  // namespace

Header parse_header(const std::byte* file, uint64_t size) {
  if (size < kHeaderBytes) {
    fail<FormatError>("too short: ", size, " bytes; a model file has at least ",
                      kHeaderBytes);
  }
  if (std::memcmp(file + 4, "FER1", 4) != 0 ||
      get<uint32_t>(file + 8) != kMagic) {
    fail<FormatError>("not a Ferrule model file: no 'FER1' header");
  }
  // The version comes before the checksum, so that a newer layout is called
  // newer and not damaged.
  Header h;
  h.major = get<uint16_t>(file + 16);
  h.minor = get<uint16_t>(file + 18);
  if (h.major > kMajor) {
    fail<FormatError>("container version ", h.major, ".", h.minor,
                      " is newer than this runtime reads (", kMajor, ".x); ",
                      "use a runtime that reads container version ", h.major);
  }
  if (get<uint32_t>(file + 60) != crc32c(file, 60)) {
    fail<FormatError>("the header is damaged: its checksum does not match");
  }
  const uint32_t header_bytes = get<uint32_t>(file + 12);
  if (header_bytes != kHeaderBytes || h.major < 1) {
    fail<FormatError>("bad header: ", header_bytes, " bytes, version ", h.major,
                      ".", h.minor);
  }
  h.metadata_size = get<uint64_t>(file + 24);
  h.data_offset = get<uint64_t>(file + 32);
  h.data_size = get<uint64_t>(file + 40);
  if (h.metadata_size > kMaxMetadata || h.metadata_size < kHeaderBytes) {
    fail<FormatError>("bad metadata size ", h.metadata_size, "; at most ",
                      kMaxMetadata, " bytes are allowed");
  }
  if (h.data_offset % kSegmentAlign != 0 || h.data_offset < h.metadata_size ||
      h.data_offset - h.metadata_size >= 4 * kSegmentAlign) {
    fail<FormatError>("bad data offset ", h.data_offset, " after ",
                      h.metadata_size, " bytes of metadata");
  }
  if (h.data_offset > size || h.data_size != size - h.data_offset) {
    fail<FormatError>("the file has ", size, " bytes, its header says ",
                      h.data_offset, " + ", h.data_size,
                      "; it was cut short or something was appended");
  }
  if (get<uint32_t>(file + 48) !=
      crc32c(file + kHeaderBytes, h.metadata_size - kHeaderBytes)) {
    fail<FormatError>("the metadata is damaged: its checksum does not match");
  }
  for (uint64_t i = h.metadata_size; i < h.data_offset; ++i) {
    if (file[i] != std::byte{0}) {
      fail<FormatError>("byte ", i, " between metadata and data is not zero");
    }
  }
  return h;
}

void write_header(std::byte* file, const Header& h) {
  std::memset(file + 8, 0, kHeaderBytes - 8);
  std::memcpy(file + 4, "FER1", 4);
  put<uint32_t>(file + 8, kMagic);
  put<uint32_t>(file + 12, kHeaderBytes);
  put<uint16_t>(file + 16, h.major);
  put<uint16_t>(file + 18, h.minor);
  put<uint64_t>(file + 24, h.metadata_size);
  put<uint64_t>(file + 32, h.data_offset);
  put<uint64_t>(file + 40, h.data_size);
  put<uint32_t>(file + 48,
                crc32c(file + kHeaderBytes, h.metadata_size - kHeaderBytes));
  put<uint32_t>(file + 60, crc32c(file, 60));
}

}  // namespace ferrule::file
