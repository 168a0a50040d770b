// Images of one, two and three spatial dimensions: what convolution and pooling
// check alike, and how their messages name things.
#pragma once

#include <span>
#include <string_view>

#include "ferrule/op.h"
#include "runtime/core/window.h"

namespace ferrule {

inline constexpr int kMostSpatial = 3;

struct Space {
  int n;  // spatial dimensions
  std::string_view batch, single;
  std::string_view kernel;
  std::string_view sides[kMostSpatial];
};
inline constexpr Space kLine = {1, "(N, C, L)", "(C, L)", "k", {"length"}};
inline constexpr Space kPlane = {
    2, "(N, C, H, W)", "(C, H, W)", "kh, kw", {"height", "width"}};
inline constexpr Space kVolume = {3,
                                  "(N, C, D, H, W)",
                                  "(C, D, H, W)",
                                  "kd, kh, kw",
                                  {"depth", "height", "width"}};

// One number for each spatial dimension.
struct Numbers : IntList {
  using IntList::IntList;
  Numbers() = default;
  Numbers(const IntList& l) : IntList(l) {}
  const Int& operator[](int k) const { return v[k]; }
};

// Throws unless `shape` is that of a batch of images or of one image.
void require_images(const OpCall& c, std::string_view what,
                    std::span<const int64_t> shape, const Space& space);

// The list argument `arg`, which may be one number for all dimensions; each is
// `low` or more, and small enough that geometry does not overflow.
Numbers spatial_numbers(const OpCall& c, int arg, const Space& space,
                        int64_t low);

// Numbers of a convolution, one for each dimension.
struct ConvNumbers {
  Numbers stride, padding, dilation;
  int64_t groups;

  ConvNumbers(const OpCall& c, const Space& space, int stride_at,
              int padding_at, int dilation_at, int groups_at);
  // Dimension k for an input and a kernel of these sizes, without its `out`.
  Window window(int k, int64_t in, int64_t kernel) const {
    return {in, kernel, stride[k].value, padding[k].value, dilation[k].value};
  }
};

// Throws unless a convolution of such an input by such a weight exists.
void check_convolution(const OpCall& c, const Space& space,
                       std::span<const int64_t> input,
                       std::span<const int64_t> weight, const ConvNumbers& a);
// Throws unless argument `at` is None or a bias of this convolution.
void check_bias(const OpCall& c, int at, int64_t channels);

// Numbers of a pooling, one for each dimension.
struct PoolNumbers {
  Numbers kernel, stride, padding, dilation;

  // kernel_size, stride (None: the kernel's size) and padding are arguments
  // from `first` on; without `dilation_at` the dilation is 1.
  PoolNumbers(const OpCall& c, const Space& space, int first,
              int dilation_at = -1);
};

// Throws where a window of a pooling does not fit.
void check_window(const OpCall& c, const Window& w, std::string_view side);
// The same for all dimensions of an input.
void check_pooling(const OpCall& c, const Space& space, const PoolNumbers& a);

}  // namespace ferrule
