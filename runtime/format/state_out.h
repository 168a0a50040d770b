// A loaded file with other weights: how the runtime saves what it trained.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "ferrule/program.h"

namespace ferrule {

// Copies the file that `program` was loaded from, with `constants` (by index),
// `goldens` (of the same shapes) and the random state in place of its own. Only
// bytes and checksums change; the layout stays.
void write_state(const Program& program, std::span<const Tensor> constants,
                 const std::vector<Golden>& goldens, uint64_t rng_seed,
                 uint64_t rng_offset, const std::string& path);

}  // namespace ferrule
