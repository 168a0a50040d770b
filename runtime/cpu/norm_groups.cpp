// CPU kernels of group normalisation and its gradient. A group of channels is a
// row; a plane of it, of one channel, has factors of its own.
#include <algorithm>
#include <cmath>

#include "runtime/cpu/norm_planes.h"
#include "runtime/cpu/rows.h"

namespace ferrule {
namespace cpu {
namespace {

struct Groups {
  int64_t images, channels, groups;
  int64_t together;   // channels of a group
  NormPlanes planes;  // of one
  RowPlan rows;

  Groups(const OpCall& c, int input, int num_groups)
      : images(c.in(input).shape[0]),
        channels(c.in(input).shape[1]),
        groups(c.i(num_groups)),
        together(channels / groups),
        planes(plane_of(c.in(input))),
        rows(c.in(input).numel, together * planes.length,
             compute_type(c.compute)) {}

  // A number for each channel, and for each channel of each image.
  int64_t channel_bytes() const {
    return align64(channels * itemsize(rows.dtype));
  }
  int64_t plane_bytes() const {
    return align64(images * channels * itemsize(rows.dtype));
  }

 private:
  static NormPlanes plane_of(const TensorImpl& x) {
    int64_t length = 1;
    for (int d = 2; d < x.ndim; ++d) length *= x.shape[d];
    return {1, length, length};
  }
};

// The parameter of the channels, or null.
template <class T>
const T* parameters(const OpCall& c, int arg, const Groups& s, char* buffer) {
  if (!c.is_tensor(arg)) return nullptr;
  return static_cast<const T*>(dense_values(c.in(arg), s.rows.dtype, buffer));
}

// Scratch: weight, bias; a mean, a scale and a shift for each plane; rows.
int64_t forward_scratch(const OpCall& c) {
  const Groups s(c, 0, 1);
  return 2 * s.channel_bytes() + 3 * s.plane_bytes() +
         s.rows.scratch_bytes(2, c.in(0).dtype == s.rows.dtype);
}

template <class T>
void forward(OpCall& c) {
  const Groups s(c, 0, 1);
  T *const mean = c.outs[1]->ptr<T>(), *const rstd = c.outs[2]->ptr<T>();
  if (c.in(0).numel == 0) {
    for (int i : {1, 2})
      std::fill_n(c.outs[i]->ptr<T>(), c.outs[i]->numel, T(0));
    return;
  }
  const DType t = s.rows.dtype;
  char* scratch = static_cast<char*>(c.scratch);
  const T* const weight = parameters<T>(c, 2, s, scratch);
  scratch += s.channel_bytes();
  const T* const bias = parameters<T>(c, 3, s, scratch);
  scratch += s.channel_bytes();
  T* planes[3];
  for (T*& p : planes) {
    p = reinterpret_cast<T*>(scratch);
    scratch += s.plane_bytes();
  }
  const T length = static_cast<T>(s.rows.length), eps = static_cast<T>(c.f(4));
  const TensorImpl* in[] = {&c.in(0)};
  each_row(s.rows, c.outs[0], in, scratch, [&](const Row& row) {
    const NormPlanes whole{1, s.rows.length, s.rows.length};
    T& centre = mean[row.index];
    T& factor = rstd[row.index];
    centre =
        static_cast<T>(FE_BEST(sum_of_planes)(whole, row.in[0], t)) / length;
    const T squares = static_cast<T>(
        FE_BEST(squares_of_planes)(whole, row.in[0], &centre, t));
    factor = T(1) / std::sqrt(squares / length + eps);
    const int64_t first = row.index % s.groups * s.together;
    const int64_t at = row.index * s.together;
    for (int64_t k = 0; k < s.together; ++k) {
      planes[0][at + k] = centre;
      planes[1][at + k] = weight ? factor * weight[first + k] : factor;
      planes[2][at + k] = bias ? bias[first + k] : T(0);
    }
    FE_BEST(normalize_planes)
    (s.planes,
     {s.together, row.out, row.in[0], planes[0] + at, planes[1] + at,
      planes[2] + at},
     t);
  });
}

// Scratch: weight; for each plane the gradients of weight and bias, a mean, a
// scale and two factors; rows.
int64_t backward_scratch(const OpCall& c) {
  const Groups s(c, 1, 5);
  return s.channel_bytes() + 6 * s.plane_bytes() +
         s.rows.scratch_bytes(
             3, c.in(0).dtype == s.rows.dtype && c.in(1).dtype == s.rows.dtype);
}

template <class T>
void backward(OpCall& c) {
  const Groups s(c, 1, 5);
  const DType t = s.rows.dtype;
  T* const grads[] = {c.outs[1]->ptr<T>(), c.outs[2]->ptr<T>()};
  for (T* grad : grads) std::fill_n(grad, s.channels, T(0));
  if (c.in(1).numel == 0) return;
  const T *const mean = c.in(2).ptr<T>(), *const rstd = c.in(3).ptr<T>();
  char* scratch = static_cast<char*>(c.scratch);
  const T* const weight = parameters<T>(c, 4, s, scratch);
  scratch += s.channel_bytes();
  T* planes[6];
  for (T*& p : planes) {
    p = reinterpret_cast<T*>(scratch);
    scratch += s.plane_bytes();
  }
  const double length = static_cast<double>(s.rows.length);
  const TensorImpl* in[] = {&c.in(0), &c.in(1)};
  each_row(s.rows, c.outs[0], in, scratch, [&](const Row& row) {
    const int64_t first = row.index % s.groups * s.together;
    const int64_t at = row.index * s.together;
    const T &centre = mean[row.index], factor = rstd[row.index];
    double sum = 0, product = 0;
    for (int64_t k = 0; k < s.together; ++k) {
      const T* const grad =
          static_cast<const T*>(row.in[0]) + k * s.planes.length;
      const T* const x = static_cast<const T*>(row.in[1]) + k * s.planes.length;
      const double of_bias = FE_BEST(sum_of_planes)(s.planes, grad, t);
      const double of_weight =
          FE_BEST(products_of_planes)(s.planes, grad, x, &centre, t) * factor;
      const T scale = weight ? weight[first + k] : T(1);
      sum += of_bias * scale;
      product += of_weight * scale;
      planes[0][at + k] = static_cast<T>(of_weight);
      planes[1][at + k] = static_cast<T>(of_bias);
      planes[2][at + k] = centre;
      planes[3][at + k] = scale * factor;
    }
    std::fill_n(planes[4] + at, s.together,
                static_cast<T>(sum / length * factor));
    std::fill_n(planes[5] + at, s.together,
                static_cast<T>(product / length * factor * factor));
    FE_BEST(normalize_planes_backward)
    (s.planes,
     {s.together, row.out, row.in[0], row.in[1], planes[2] + at, planes[4] + at,
      planes[5] + at, planes[3] + at},
     t);
  });
  for (int i : {0, 1}) {
    for (int64_t k = 0; k < s.images * s.channels; ++k) {
      grads[i][k % s.channels] += planes[i][k];
    }
  }
}

}  // namespace
}  // namespace cpu

extern const KernelDef normalize_groups_cpu = {
    .name = "normalize_groups",
    .run =
        [](OpCall& c) {
          cpu::by_float(cpu::compute_type(c.compute),
                        [&]<class T>(T) { cpu::forward<T>(c); });
        },
    .scratch = cpu::forward_scratch,
};
extern const KernelDef normalize_groups_backward_cpu = {
    .name = "normalize_groups_backward",
    .run =
        [](OpCall& c) {
          cpu::by_float(cpu::compute_type(c.compute),
                        [&]<class T>(T) { cpu::backward<T>(c); });
        },
    .scratch = cpu::backward_scratch,
};

}  // namespace ferrule
