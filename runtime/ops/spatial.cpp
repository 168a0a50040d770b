// Checks of convolution and pooling for any number of spatial dimensions.
#include "runtime/ops/spatial.h"

#include "runtime/ops/checks.h"

namespace ferrule {
namespace {

void check_groups(const OpCall& c, int64_t groups) {
  if (groups >= 1) return;
  c.fail<ValueError>("groups must be 1 or more, got ", groups);
}

void check_kernel(const OpCall& c, const Window& w, std::string_view side) {
  if (w.kernel == 0) c.fail<ShapeError>("the kernel has ", side, " 0");
  if (w.extent() <= w.padded()) return;
  c.fail<ShapeError>("a kernel of ", side, " ", w.kernel, " (dilation ",
                     w.dilation, ": ", w.extent(),
                     ") does not fit into an input of ", side, " ", w.in,
                     " with padding ", w.padding,
                     "; enlarge the padding or use a smaller kernel");
}

}  // namespace

void require_images(const OpCall& c, std::string_view what,
                    std::span<const int64_t> shape, const Space& space) {
  const int ndim = static_cast<int>(shape.size());
  if (ndim != space.n + 1 && ndim != space.n + 2) {
    c.fail<ShapeError>(
        what, " must have shape ", space.batch, " or ", space.single, ", got ",
        shape, ndim <= space.n ? "; add dimensions with unsqueeze" : "");
  }
  checked_numel(shape);
}

Numbers spatial_numbers(const OpCall& c, int arg, const Space& space,
                        int64_t low) {
  const auto given = c.ints(arg);
  const int n = static_cast<int>(given.size());
  if (n != 1 && n != space.n) {
    c.fail<ValueError>(c.info.schema.params[arg].name,
                       " must be one int or one for each dimension (", space.n,
                       "), got ", dims_of(c, arg));
  }
  require_ints(c, arg, low);
  Numbers numbers;
  for (int k = 0; k < space.n; ++k) numbers.push(given[n == 1 ? 0 : k]);
  return numbers;
}

ConvNumbers::ConvNumbers(const OpCall& c, const Space& space, int stride_at,
                         int padding_at, int dilation_at, int groups_at)
    : stride(spatial_numbers(c, stride_at, space, 1)),
      padding(spatial_numbers(c, padding_at, space, 0)),
      dilation(spatial_numbers(c, dilation_at, space, 1)),
      groups(c.i(groups_at)) {
  check_groups(c, groups);
}

void check_convolution(const OpCall& c, const Space& space,
                       std::span<const int64_t> input,
                       std::span<const int64_t> weight, const ConvNumbers& a) {
  require_images(c, "input", input, space);
  if (static_cast<int>(weight.size()) != space.n + 2) {
    c.fail<ShapeError>(
        "weight must have shape (out_channels, in_channels / groups, ",
        space.kernel, "), got ", weight);
  }
  checked_numel(weight);
  const int64_t channels = input[input.size() - space.n - 1];
  if (channels % a.groups != 0) {
    c.fail<ShapeError>("the ", channels, " channels of input ", input,
                       " cannot be divided into groups=", a.groups);
  }
  if (weight[0] % a.groups != 0) {
    c.fail<ShapeError>("the ", weight[0], " output channels of weight ", weight,
                       " cannot be divided into groups=", a.groups);
  }
  if (channels / a.groups != weight[1]) {
    c.fail<ShapeError>("input ", input, " has ", channels,
                       " channels, but weight ", weight,
                       " with groups=", a.groups, " expects ",
                       apply(IntOp::mul, weight[1], a.groups), "; images are ",
                       space.batch, ", channels before ", space.sides[0]);
  }
  for (int k = 0; k < space.n; ++k) {
    const int64_t in = input[input.size() - space.n + k];
    check_kernel(c, a.window(k, in, weight[2 + k]), space.sides[k]);
  }
}

void check_bias(const OpCall& c, int at, int64_t channels) {
  if (!c.has(at) || (c.in(at).ndim == 1 && c.in(at).shape[0] == channels)) {
    return;
  }
  c.fail<ShapeError>("bias must have shape (", channels, ",) for weight ",
                     c.in(1).sizes(), ", got ", c.in(at).sizes());
}

PoolNumbers::PoolNumbers(const OpCall& c, const Space& space, int first,
                         int dilation_at)
    : kernel(spatial_numbers(c, first, space, 1)),
      stride(c.has(first + 1) ? spatial_numbers(c, first + 1, space, 1)
                              : kernel),
      padding(spatial_numbers(c, first + 2, space, 0)) {
  if (dilation_at >= 0) {
    dilation = spatial_numbers(c, dilation_at, space, 1);
  } else {
    for (int k = 0; k < space.n; ++k) dilation.push(1);
  }
}

void check_window(const OpCall& c, const Window& w, std::string_view side) {
  if (w.padding > w.extent() / 2) {
    c.fail<ValueError>("padding ", w.padding,
                       " is more than half of the kernel's ", side, " ",
                       w.extent(), ": a window could see padding only");
  }
  if (w.extent() > w.padded()) {
    c.fail<ShapeError>("a window of ", side, " ", w.extent(),
                       " does not fit into an input of ", side, " ", w.in,
                       " with padding ", w.padding,
                       "; use a smaller kernel_size");
  }
}

void check_pooling(const OpCall& c, const Space& space, const PoolNumbers& a) {
  const auto input = c.in(0).sizes();
  require_images(c, "input", input, space);
  for (int k = 0; k < space.n; ++k) {
    const Window w = {input[input.size() - space.n + k], a.kernel[k].value,
                      a.stride[k].value, a.padding[k].value,
                      a.dilation[k].value};
    check_window(c, w, space.sides[k]);
  }
}

}  // namespace ferrule
