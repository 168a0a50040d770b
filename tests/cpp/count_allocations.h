// How often the process has asked the C library for memory.
#pragma once

#include <cstdint>

// Counts malloc and its relatives, on all threads, operator new included.
// Always 0 where a sanitizer has its own malloc.
int64_t allocations();
