// memcpy for tensors, which have no memory where they have no elements.
#pragma once

#include <cstdint>
#include <cstring>

namespace ferrule {

inline void copy_bytes(void* to, const void* from, int64_t n) {
  if (n > 0) std::memcpy(to, from, static_cast<size_t>(n));
}

}  // namespace ferrule
