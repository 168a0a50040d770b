// Geometry of sliding windows, shared by the definitions of convolution and
// pooling and by their kernels on every device.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "ferrule/op.h"

namespace ferrule {

// One spatial dimension. Window o covers, for k in [0, kernel), the elements
// o * stride - padding + k * dilation of the input, where they exist.
struct Window {
  int64_t in = 1;
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t padding = 0;
  int64_t dilation = 1;
  int64_t out = 1;

  // Length from the first to the last element of the kernel.
  int64_t extent() const {
    return apply(IntOp::add, apply(IntOp::mul, dilation, kernel - 1), 1);
  }
  int64_t padded() const { return in + 2 * padding; }
  int64_t start(int64_t o) const { return o * stride - padding; }

  // Sets `out` for an extent that fits. With `ceil_mode` a last window that is
  // not filled counts too, but only if it starts inside the input or its left
  // padding (PyTorch's rule).
  void find_out(bool ceil_mode = false) {
    const int64_t room = padded() - extent();
    out = room / stride + 1;
    if (ceil_mode && room % stride != 0 && out * stride < in + padding) ++out;
  }
};

// Positions o in [begin, end) whose element k lies inside of the input.
struct Inside {
  int64_t begin, end;

  Inside(const Window& w, int64_t k, int64_t first, int64_t last) {
    // 0 <= o * stride + shift < in
    const int64_t shift = k * w.dilation - w.padding;
    const int64_t low = shift >= 0 ? 0 : (-shift + w.stride - 1) / w.stride;
    const int64_t high =
        shift >= w.in ? 0 : (w.in - shift + w.stride - 1) / w.stride;
    begin = std::clamp(low, first, last);
    end = std::clamp(high, begin, last);
  }
};

// Average pooling (dilation 1): elements [begin, end) of the input lie in
// window o, and their sum is divided by `count` or, with count_include_pad, by
// `padded_count`, which counts padding but nothing that lies beyond it.
struct AverageWindow {
  int64_t begin, end, padded_count;

  AverageWindow(const Window& w, int64_t o) {
    const int64_t from = w.start(o);
    const int64_t to = std::min(from + w.kernel, w.in + w.padding);
    begin = std::max<int64_t>(from, 0);
    end = std::min(to, w.in);
    padded_count = to - from;
  }
  int64_t count() const { return end - begin; }
};

// Adaptive average pooling: output o averages elements [begin, end).
struct AdaptiveWindow {
  int64_t begin, end;

  AdaptiveWindow(int64_t in, int64_t out, int64_t o)
      : begin(o * in / out), end(((o + 1) * in + out - 1) / out) {}
};

// The last dimensions of a tensor of shape (..., C, H, W): (N, C, H, W), or
// (C, H, W) for one image.
struct Image {
  int64_t batch, channels, height, width;

  explicit Image(std::span<const int64_t> shape)
      : batch(shape.size() == 4 ? shape[0] : 1),
        channels(shape[shape.size() - 3]),
        height(shape[shape.size() - 2]),
        width(shape[shape.size() - 1]) {}
  int64_t planes() const { return batch * channels; }
};

// A convolution, whichever of its three tensors is the result. In conv2d,
// conv2d_dx and conv2d_dw, stride, padding, dilation and groups are arguments
// 3, 4, 5 and 6. The kernels get it so:
//   conv2d     Conv2dShape(c, c.in(0).sizes(), c.in(1).sizes())
//   conv2d_dx  Conv2dShape(c, c.out_impl().sizes(), c.in(1).sizes())
//   conv2d_dw  Conv2dShape(c, c.in(1).sizes(), c.out_impl().sizes())
struct Conv2dShape {
  int64_t batch, in_channels, out_channels, groups;
  Window h, w;

  // The shapes were checked: out sizes are found only where the kernel fits.
  Conv2dShape(const OpCall& c, std::span<const int64_t> input,
              std::span<const int64_t> weight) {
    const Image image(input);
    batch = image.batch;
    in_channels = image.channels;
    out_channels = weight[0];
    groups = c.i(6);
    h = {image.height, weight[2]};
    w = {image.width, weight[3]};
    Window* windows[] = {&h, &w};
    for (int k = 0; k < 2; ++k) {
      Window& d = *windows[k];
      d.stride = c.ints(3)[k].value;
      d.padding = c.ints(4)[k].value;
      d.dilation = c.ints(5)[k].value;
      d.out = 0;
      if (d.stride > 0 && d.extent() <= d.padded()) d.find_out();
    }
  }
};

// A pooling. Arguments from `first` on are kernel_size, stride (None: the
// kernel's size) and padding; the kernels get it so:
//   max_pool2d     PoolShape(c, 1, c.in(0).sizes(), c.b(5)), dilation_at = 4
//   avg_pool2d     PoolShape(c, 1, c.in(0).sizes(), c.b(4))
//   avg_pool2d_dx  PoolShape(c, 2, c.out_impl().sizes(), c.b(5))
struct PoolShape {
  int64_t planes;
  Window h, w;

  PoolShape(const OpCall& c, int first, std::span<const int64_t> input,
            bool ceil_mode, int dilation_at = -1) {
    const Image image(input);
    planes = image.planes();
    h.in = image.height;
    w.in = image.width;
    Window* windows[] = {&h, &w};
    for (int k = 0; k < 2; ++k) {
      Window& d = *windows[k];
      d.kernel = c.ints(first)[k].value;
      d.stride = c.ints(c.has(first + 1) ? first + 1 : first)[k].value;
      d.padding = c.ints(first + 2)[k].value;
      if (dilation_at >= 0) d.dilation = c.ints(dilation_at)[k].value;
      d.out = 0;
      if (d.stride > 0 && d.extent() <= d.padded()) d.find_out(ceil_mode);
    }
  }
};

}  // namespace ferrule
