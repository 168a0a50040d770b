// What is in these pictures? All of them in one run:
//
//   classify_cpp classifier.fer picture.ppm ...
#include <algorithm>
#include <cstdio>
#include <exception>
#include <ferrule/model.hpp>
#include <sstream>
#include <stdexcept>

#include "image.h"

int main(int argc, char** argv) try {
  if (argc < 3) {
    std::fprintf(stderr, "usage: classify_cpp MODEL.fer PICTURE.ppm ...\n");
    return 2;
  }
  auto model = fe::Model::open(argv[1]);
  std::vector<std::string> classes;
  std::istringstream names(model.metadata("classes").value_or(""));
  for (std::string line; std::getline(names, line);) classes.push_back(line);

  const fe::Value input = model.input_values("forward")[0];
  const int64_t n = argc - 2, height = input.shape[2], width = input.shape[3];
  fe::Array x(FER_F32, {n, 3, height, width});
  for (int64_t i = 0; i < n; ++i) {
    const char* path = argv[i + 2];
    float* pixels = x.values<float>().data() + i * 3 * height * width;
    if (read_ppm(path, height, width, pixels) != 0) {
      throw std::runtime_error(std::string(path) + " is no PPM picture of " +
                               std::to_string(width) + " x " +
                               std::to_string(height));
    }
  }

  const fe::Array logits = model.run({{input.name, x}})[0];
  const auto count = static_cast<size_t>(logits.shape()[1]);
  for (size_t i = 0; i < logits.size(); i += count) {
    const auto row = logits.values<float>().subspan(i, count);
    const auto best = std::max_element(row.begin(), row.end());
    const auto at = static_cast<size_t>(best - row.begin());
    std::printf("%s %.9g\n",
                at < classes.size() ? classes[at].c_str()
                                    : ("class " + std::to_string(at)).c_str(),
                *best);
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
