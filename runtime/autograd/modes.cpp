// Recording modes, and the generator in use.
#include "runtime/autograd/modes.h"

#include <utility>

#include "ferrule/autograd.h"
#include "ferrule/random.h"

namespace ferrule {

bool grad_enabled() { return modes.grad; }
void set_grad_enabled(bool on) { modes.grad = on; }
bool inference_mode() { return modes.inference; }
void set_inference_mode(bool on) {
  modes.inference = on;
  modes.grad = !on;
}

void set_decompose(bool on) { modes.decompose = on; }

Generator& default_generator() {
  static Generator generator;
  return generator;
}

UseGenerator::UseGenerator(Generator& g)
    : before_(std::exchange(modes.generator, &g)) {}
UseGenerator::~UseGenerator() { modes.generator = before_; }

RngState next_tick() {
  return (modes.generator ? *modes.generator : default_generator()).tick();
}

}  // namespace ferrule
