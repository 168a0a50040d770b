// Continues a text, a character at a time:
//
//   generate gpt.fer "To be" 200 [temperature]
//
// The file is a `GPTDecoder`: from tokens, and from the keys and values of all
// tokens before them, it gives the logits of the next token, and keys and
// values of these. So each token is computed once, however long the text
// becomes.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <ferrule/model.hpp>
#include <random>
#include <stdexcept>

// The cache, (layers, 2, 1, heads, length, width), with `added` behind it.
fe::Array longer(const fe::Array& cache, const fe::Array& added) {
  std::vector<int64_t> shape = cache.shape();
  shape[4] += added.shape()[4];
  fe::Array out(FER_F32, shape);
  const int64_t rows = shape[0] * shape[1] * shape[2] * shape[3];
  float* to = out.values<float>().data();
  for (int64_t r = 0; r < rows; ++r) {
    for (const fe::Array* part : {&cache, &added}) {
      const int64_t n = part->shape()[4] * part->shape()[5];
      to = std::copy_n(part->values<float>().data() + r * n, n, to);
    }
  }
  return out;
}

// The most likely one; with a temperature above 0, one that is drawn.
size_t choose(std::span<const float> logits, double temperature,
              std::mt19937& draw) {
  const auto best = std::max_element(logits.begin(), logits.end());
  if (temperature <= 0) return static_cast<size_t>(best - logits.begin());
  std::vector<double> weights;
  for (float v : logits) weights.push_back(std::exp((v - *best) / temperature));
  return std::discrete_distribution<size_t>(weights.begin(),
                                            weights.end())(draw);
}

int main(int argc, char** argv) try {
  if (argc < 4) {
    std::fprintf(stderr,
                 "usage: generate MODEL.fer TEXT LENGTH [TEMPERATURE]\n");
    return 2;
  }
  auto model = fe::Model::open(argv[1]);
  const std::string characters = model.metadata("characters").value();
  const int64_t context = std::stoll(model.metadata("context").value());
  const double temperature = argc > 4 ? std::atof(argv[4]) : 0;

  std::vector<int64_t> tokens;
  for (const char* c = argv[2]; *c; ++c) {
    const size_t token = characters.find(*c);
    if (token == std::string::npos) {
      throw std::runtime_error(std::string("the model does not know '") + *c +
                               "'");
    }
    tokens.push_back(static_cast<int64_t>(token));
  }
  std::vector<int64_t> shape = model.input_values("forward")[1].shape;
  shape[4] = 0;
  fe::Array cache(FER_F32, shape);
  std::mt19937 draw(0);
  std::printf("%s", argv[2]);
  for (int i = std::atoi(argv[3]); i > 0; --i) {
    const auto read = static_cast<int64_t>(tokens.size());
    if (cache.shape()[4] + read > context) break;
    const auto results =
        model.run({{"tokens", fe::Array(tokens, {1, read})}, {"cache", cache}});
    cache = longer(cache, results[1]);
    const size_t next = choose(results[0].values<float>(), temperature, draw);
    std::putchar(characters[next]);
    std::fflush(stdout);
    tokens = {static_cast<int64_t>(next)};
  }
  std::putchar('\n');
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
