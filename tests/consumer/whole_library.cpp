// The whole library in a C++ program: an op, and its gradient.
#include <cstdio>

#include "ferrule/autograd.h"
#include "ferrule/ops.h"

namespace fe = ferrule;

int main() {
  fe::Tensor x = fe::Tensor::empty({3}, fe::DType::f32);
  for (int i = 0; i < 3; ++i) x.data<float>()[i] = static_cast<float>(i);
  fe::set_requires_grad(x, true);
  const fe::Tensor loss = fe::op::sum(fe::op::mul(x, x));
  fe::backward({&loss, 1}, {}, {}, {});
  const float value = loss.data<float>()[0];
  const float gradient = fe::grad_of(x).data<float>()[2];
  std::printf("sum of squares %g, its gradient at 2: %g\n", value, gradient);
  return value == 5.0f && gradient == 4.0f ? 0 : 1;
}
