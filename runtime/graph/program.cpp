// Look-ups in a program.
#include "ferrule/program.h"

namespace ferrule {

const Signature* Program::find(std::string_view key) const {
  for (const Signature& s : signatures) {
    if (s.key == key) return &s;
  }
  return nullptr;
}

int Program::constant_index(std::string_view name) const {
  for (size_t i = 0; i < constants.size(); ++i) {
    if (constants[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace ferrule
