// Reads labels from the metadata and looks them up.
#include "runtime/tool/labels.h"

#include "runtime/cpu/strided_copy.h"

namespace ferrule::tool {

Labels::Labels(const Program& program, std::string_view result) {
  for (const auto& [key, value] : program.metadata) {
    if (key != concat("labels:", result)) continue;
    for (std::string_view rest = value; !rest.empty();) {
      const size_t end = std::min(rest.find('\n'), rest.size());
      lines_.push_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
}

std::vector<std::string_view> Labels::of(const Tensor& t) const {
  std::vector<std::string_view> found;
  if (lines_.empty() || is_float(t.dtype()) || is_complex(t.dtype())) {
    return found;
  }
  Tensor numbers = Tensor::empty(t.shape(), DType::i64);
  strided_copy(*t.impl(), *numbers.impl());
  for (int64_t i = 0; i < numbers.numel(); ++i) {
    const int64_t n = numbers.data<int64_t>()[i];
    const bool known = n >= 0 && n < static_cast<int64_t>(lines_.size());
    found.push_back(known ? lines_[static_cast<size_t>(n)] : "?");
  }
  return found;
}

}  // namespace ferrule::tool
