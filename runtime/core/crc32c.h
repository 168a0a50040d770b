// CRC32C (Castagnoli, RFC 3720 section 12.1): the checksum of model files.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ferrule {

// Continues from `crc`, the result for the bytes before (0 at the start).
// Uses the CRC instructions of x86-64 (SSE4.2) and ARMv8 where present.
uint32_t crc32c(const void* data, size_t size, uint32_t crc = 0);

// The same from a table, whatever the machine: the reference in tests.
uint32_t crc32c_portable(const void* data, size_t size, uint32_t crc = 0);

}  // namespace ferrule
