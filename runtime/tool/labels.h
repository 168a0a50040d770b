// What the numbers of a result stand for: the metadata entry "labels:RESULT"
// has a line for 0, one for 1, ...
#pragma once

#include <string_view>
#include <vector>

#include "ferrule/program.h"

namespace ferrule::tool {

class Labels {
 public:
  Labels(const Program& program, std::string_view result);

  // One for each element of a result of integers; "?" where there is no such
  // line. Nothing where the result has no labels.
  std::vector<std::string_view> of(const Tensor& t) const;

 private:
  std::vector<std::string_view> lines_;
};

}  // namespace ferrule::tool
