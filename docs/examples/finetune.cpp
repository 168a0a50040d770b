// Trains a shipped classifier further, on pictures of the user's own:
//
//   finetune classifier.fer mine.fer 20 0=cat.ppm 1=dog.ppm ...
//
// classifier.fer stays as it is, and shared by all who use it; what was learned
// goes to mine.fer. Where that exists training goes on from it: the program may
// be killed at any time.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <ferrule/model.hpp>
#include <filesystem>
#include <stdexcept>

#include "image.h"

int main(int argc, char** argv) try {
  if (argc < 5) {
    std::fprintf(stderr, "usage: finetune MODEL.fer TRAINED.fer STEPS "
                         "CLASS=PICTURE.ppm ...\n");
    return 2;
  }
  const bool resumed = std::filesystem::exists(argv[2]);
  auto model = fe::Model::open(resumed ? argv[2] : argv[1]);
  fe::Session& session = model.session();
  const int steps = std::atoi(argv[3]);

  const fe::Value input = model.input_values("train_step")[0];
  const int64_t n = argc - 4, height = input.shape[2], width = input.shape[3];
  fe::Array x(FER_F32, {n, 3, height, width}), target(FER_I64, {n});
  for (int64_t i = 0; i < n; ++i) {
    const std::string given = argv[i + 4];
    const size_t equals = given.find('=');
    const std::string path = given.substr(equals + 1);
    if (equals == std::string::npos ||
        read_ppm(path.c_str(), height, width,
                 x.values<float>().data() + i * 3 * height * width) != 0) {
      throw std::runtime_error("not CLASS=PICTURE.ppm: " + given);
    }
    target.values<int64_t>()[static_cast<size_t>(i)] =
        std::stoll(given.substr(0, equals));
  }

  for (int step = 0; step < steps; ++step) {
    // The rate is an input: here it falls in a straight line.
    const float lr =
        0.01f * static_cast<float>(steps - step) / static_cast<float>(steps);
    const auto loss = session.run(
        "train_step",
        {{input.name, x}, {"target", target}, {"lr", fe::Array::scalar(lr)}});
    std::printf("step %d: loss %.9g\n", step + 1, loss[0].item<float>());
    if ((step + 1) % 10 == 0 || step + 1 == steps) session.save(argv[2]);
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
