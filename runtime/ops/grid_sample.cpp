// Sampling of images at any places, and the grids of places of affine maps:
// compositions, so that every order of derivative exists.
#include <string_view>
#include <vector>

#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// One of several names, by its position.
int choice(const OpCall& c, int arg, std::initializer_list<const char*> names) {
  int k = 0;
  std::string all;
  for (const char* name : names) {
    if (c.str(arg) == name) return k;
    all += concat(k > 0 ? ", '" : "'", name, "'");
    ++k;
  }
  c.fail<ValueError>(c.info.schema.params[arg].name, " must be one of ", all,
                     "; got '", c.str(arg), "'");
}

enum Sampling { kBilinear, kNearest, kBicubic };
enum Border { kZeros, kRepeat, kReflect };

// One element's share of a sample: its place along a dimension and its weight
// (no tensor: 1). All have the shape of the samples, (N, P).
struct Tap {
  Tensor index;   // int64, inside
  Tensor weight;  // 0 where the place lies outside and outside is zero
};

class Sampler {
 public:
  explicit Sampler(const OpCall& c)
      : input_(c.tensor(0)),
        mode_(choice(c, 2, {"bilinear", "nearest", "bicubic"})),
        border_(choice(c, 3, {"zeros", "border", "reflection"})),
        align_(c.has(4) && c.b(4)),
        n_(input_.ndim() - 2) {}

  // `places`: (N, P, n), coordinates of the last dimension first.
  Tensor sample(const Tensor& places) {
    std::vector<std::vector<Tap>> taps;
    for (int k = 0; k < n_; ++k) {
      taps.push_back(taps_of(op::select(places, 2, n_ - 1 - k), k));
    }
    IntList flat{size_of(input_.impl(), 0), size_of(input_.impl(), 1)};
    Int numel = 1;
    for (int k = 0; k < n_; ++k) numel = numel * size(k);
    flat.push(numel);
    flat_ = op::reshape(input_, flat);
    Tensor sum;
    combine(taps, 0, Tap(), &sum);
    return sum;
  }

 private:
  Int size(int k) const { return size_of(input_.impl(), 2 + k); }

  // From [-1, 1] to elements.
  Tensor unnormalized(const Tensor& x, int k) const {
    const Int n = size(k);
    const Tensor from_edge = op::add(x, 1.0);
    if (align_) return op::mul(op::mul(from_edge, n - 1), 0.5);
    return op::mul(op::sub(op::mul(from_edge, n), 1.0), 0.5);
  }

  // Moves places to where there are elements, as the border wants.
  Tensor placed(Tensor x, int k) const {
    if (border_ == kReflect) x = reflected(x, size(k));
    return border_ == kZeros ? x : op::clamp(x, 0, size(k) - 1);
  }

  // Mirrors at the outermost elements, or at their outer edges.
  Tensor reflected(const Tensor& x, Int n) const {
    const double low = align_ ? 0 : -0.5;
    const Int span = align_ ? n - 1 : n;
    if (span.value == 0) return op::mul(x, 0.0);
    const Tensor away = op::abs(op::sub(x, low));
    const Tensor rest = op::fmod(away, span);
    const Tensor turns = op::floor(op::div(away, span));
    const Tensor even = op::eq(op::fmod(turns, 2.0), 0.0);
    return op::add(op::where(even, rest, op::sub(span, rest)), low);
  }

  // The element at whole places x, with a weight (no tensor: 1).
  Tap tap(const Tensor& x, Tensor weight, int k) const {
    const Int last = size(k) - 1;
    if (border_ == kZeros) {
      const Tensor inside = op::logical_and(op::ge(x, 0), op::le(x, last));
      weight =
          weight ? op::where(inside, weight, 0.0) : op::cast(inside, x.dtype());
    }
    return {op::cast(op::clamp(x, 0, last), DType::i64), weight};
  }

  std::vector<Tap> taps_of(const Tensor& coordinates, int k) const {
    Tensor x = unnormalized(coordinates, k);
    if (mode_ == kBicubic) return cubic_taps(x, k);
    x = placed(x, k);
    if (mode_ == kNearest) return {tap(op::round(x), Tensor(), k)};
    const Tensor low = op::floor(x);
    const Tensor t = op::sub(x, low);
    return {tap(low, op::sub(1.0, t), k), tap(op::add(low, 1.0), t, k)};
  }

  // Four neighbours; each is moved to where there are elements by itself.
  std::vector<Tap> cubic_taps(const Tensor& x, int k) const {
    static constexpr double a = -0.75;
    const auto near = [](const Tensor& d) {
      const Tensor s = op::sub(op::mul(d, a + 2), a + 3);
      return op::add(op::mul(op::mul(s, d), d), 1.0);
    };
    const auto far = [](const Tensor& d) {
      const Tensor s =
          op::add(op::mul(op::sub(op::mul(d, a), 5 * a), d), 8 * a);
      return op::sub(op::mul(s, d), 4 * a);
    };
    const Tensor low = op::floor(x);
    const Tensor t = op::sub(x, low), u = op::sub(1.0, t);
    const Tensor weights[] = {far(op::add(t, 1.0)), near(t), near(u),
                              far(op::add(u, 1.0))};
    std::vector<Tap> taps;
    for (int i = 0; i < 4; ++i) {
      taps.push_back(tap(placed(op::add(low, static_cast<double>(i - 1)), k),
                         weights[i], k));
    }
    return taps;
  }

  // Adds up the products of one tap a dimension, from dimension k on.
  void combine(const std::vector<std::vector<Tap>>& taps, int k, const Tap& at,
               Tensor* sum) const {
    if (k < n_) {
      for (const Tap& tap : taps[k]) {
        Tap next = tap;
        if (at.index) {
          next.index = op::add(op::mul(at.index, size(k)), tap.index);
        }
        if (at.weight && tap.weight) {
          next.weight = op::mul(at.weight, tap.weight);
        } else if (at.weight) {
          next.weight = at.weight;
        }
        combine(taps, k + 1, next, sum);
      }
      return;
    }
    IntList shape{size_of(flat_.impl(), 0), size_of(flat_.impl(), 1),
                  size_of(at.index.impl(), 1)};
    const Tensor index = op::expand(op::unsqueeze(at.index, 1), shape);
    Tensor term = op::gather(flat_, 2, index);
    if (at.weight) term = op::mul(term, op::unsqueeze(at.weight, 1));
    *sum = *sum ? op::add(*sum, term) : term;
  }

  Tensor input_, flat_;
  int mode_, border_;
  bool align_;
  int n_;
};

Results decompose_grid_sample(OpCall& c) {
  const TensorImpl &x = c.in(0), &grid = c.in(1);
  require_same_dtype(c, {0, 1});
  if (x.ndim != 4 && x.ndim != 5) {
    c.fail<ShapeError>(
        "input must have shape (N, C, H, W) or (N, C, D, H, W), ", "got ",
        x.sizes());
  }
  const int n = x.ndim - 2;
  if (grid.ndim != x.ndim || grid.shape[0] != x.shape[0] ||
      grid.shape[n + 1] != n) {
    c.fail<ShapeError>("grid must have shape (", x.shape[0],
                       n == 2 ? ", H', W', 2)" : ", D', H', W', 3)",
                       " for input ", x.sizes(), ", got ", grid.sizes());
  }
  for (int k = 0; k < n; ++k) {
    if (x.shape[2 + k] > 0) continue;
    c.fail<ShapeError>("input ", x.sizes(), " has no elements to sample");
  }
  if (n == 3 && c.str(2) == "bicubic") {
    c.fail<ValueError>("mode 'bicubic' is for images (N, C, H, W), got input ",
                       x.sizes());
  }
  Int places = 1;
  IntList shape{size_of(&x, 0), size_of(&x, 1)};
  for (int k = 0; k < n; ++k) {
    const Int size = size_of(&grid, 1 + k);
    places = places * size;
    shape.push(size);
  }
  // Coordinates and weights of 16-bit floats are computed in float32.
  const DType own = x.dtype;
  Tensor at = op::reshape(c.tensor(1), IntList{size_of(&grid, 0), places, n});
  Sampler sampler(c);
  if (accumulator(own) != own) at = op::cast(at, accumulator(own));
  const Tensor samples = sampler.sample(at);
  return one(op::reshape(op::cast(samples, own), shape));
}

Results decompose_affine_grid(OpCall& c) {
  const TensorImpl& theta = c.in(0);
  const Dims size = shape_of(c, 1);
  const int n = size.n - 2;
  if (n != 2 && n != 3) {
    c.fail<ShapeError>("size must be (N, C, H, W) or (N, C, D, H, W), got ",
                       size);
  }
  if (theta.ndim != 3 || theta.shape[0] != size[0] || theta.shape[1] != n ||
      theta.shape[2] != n + 1) {
    c.fail<ShapeError>("theta must have shape (", size[0], ", ", n, ", ", n + 1,
                       ") for size ", size, ", got ", theta.sizes());
  }
  const bool align = c.has(2) && c.b(2);
  const DType t = theta.dtype;
  // Homogeneous coordinates of all places, the last dimension's first.
  IntList shape;
  Int places = 1;
  for (int k = 0; k < n; ++k) {
    shape.push(c.ints(1)[2 + k]);
    places = places * shape[k];
  }
  std::vector<Tensor> columns;
  for (int k = n - 1; k >= 0; --k) {
    const Int m = shape[k];
    // (2 i - (m - 1)) / (m - 1), or the same by m: whole numbers but for the
    // end.
    const Arg start = Arg(Int(1) - m), end = Arg(m);
    const Tensor numerators = op::cast(
        op::arange(start, end, 2, DType::i64, device_of(c.tensor(0))), t);
    Tensor line = op::div(numerators, !align        ? m
                                      : m.value > 1 ? m - 1
                                                    : Int(1));
    IntList along;
    for (int d = 0; d < n; ++d) along.push(d == k ? m : Int(1));
    line = op::expand(op::reshape(line, along), shape);
    columns.push_back(op::reshape(line, IntList{places}));
  }
  columns.push_back(op::ones(IntList{places}, t, device_of(c.tensor(0))));
  const Tensor base = op::stack(columns, 1);
  const Tensor grid = op::matmul(base, c.tensor(0), false, true);
  IntList result{c.ints(1)[0]};
  for (const Int& i : shape) result.push(i);
  result.push(n);
  return one(op::reshape(grid, result));
}

#endif

}  // namespace

extern const OpDef grid_sample_op = {
    .name = "grid_sample",
    .sig = "input: Tensor[float], grid: Tensor[float], "
           "mode: str = \"bilinear\", padding_mode: str = \"zeros\", "
           "align_corners: bool? = None",
    .doc = FE_DOC(R"(Values of images at given places.

Args:
    input: shape (N, C, H, W) or (N, C, D, H, W).
    grid: shape (N, H', W', 2) or (N, D', H', W', 3): places as (x, y) or
        (x, y, z), -1 for the first and 1 for the last of a dimension.
    mode: "bilinear" (of volumes: trilinear), "nearest", or of images "bicubic".
    padding_mode: what lies outside: "zeros", "border" (the outermost elements),
        or "reflection" (mirror images).
    align_corners: True: -1 and 1 are the centres of the outermost elements;
        False (and None) their outer edges.

Returns:
    Shape (N, C, H', W') or (N, C, D', H', W').

Raises:
    ShapeError: the shapes do not fit.
    ValueError: unknown mode.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> fe.nn.functional.grid_sample(x, fe.zeros((1, 1, 1, 2))).tolist()
    [[[[2.5]]]]

Source: Jaderberg et al., "Spatial Transformer Networks", 2015;
torch.nn.functional.grid_sample.
)"),
    .examples = FE_DOC(
        "f(2, 3, 4, 5), f(2, 3, 2, 2)\n"
        "f(1, 2, 3, 4), f(1, 2, 3, 2), \"bilinear\", \"border\", True\n"
        "f(1, 2, 3, 4), f(1, 2, 3, 2), \"bilinear\", \"reflection\"\n"
        "f(1, 2, 3, 4), f(1, 2, 3, 2), \"nearest\", \"reflection\", True\n"
        "f(1, 1, 4, 4), f(1, 2, 2, 2), \"bicubic\"\n"
        "f(1, 1, 4, 4), f(1, 2, 2, 2), \"bicubic\", \"border\"\n"
        "f(1, 2, 3, 2, 3), f(1, 2, 1, 2, 3)\n"
        "f(0, 2, 3, 3), f(0, 2, 2, 2)"),
    .reference =
        FE_DOC("sampled(input, grid, mode, padding_mode, bool(align_corners))"),
    .where = kFunctional,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD(decompose_grid_sample),
};

extern const OpDef affine_grid_op = {
    .name = "affine_grid",
    .sig = "theta: Tensor[float], size: int[], align_corners: bool? = None",
    .doc = FE_DOC(R"(The places that affine maps take a regular grid to.

Args:
    theta: the maps, shape (N, 2, 3) for images, (N, 3, 4) for volumes.
    size: of the images that are made, (N, C, H, W) or (N, C, D, H, W).
    align_corners: as of `grid_sample`.

Returns:
    Shape (N, H, W, 2) or (N, D, H, W, 3), for `grid_sample`.

Raises:
    ShapeError: the shapes do not fit.

Example:
    >>> import ferrule as fe
    >>> theta = fe.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> fe.nn.functional.affine_grid(theta, (1, 1, 1, 2)).tolist()
    [[[[-0.5, 0.0], [0.5, 0.0]]]]

Source: Jaderberg et al., "Spatial Transformer Networks", 2015.
)"),
    .examples = FE_DOC("f(2, 2, 3), (2, 3, 4, 5)\n"
                       "f(1, 2, 3), (1, 1, 3, 1), True\n"
                       "f(1, 3, 4), (1, 1, 2, 3, 2)"),
    .reference = FE_DOC("affine_places(theta, size, bool(align_corners))"),
    .where = kFunctional,
    .decompose = FE_GRAD(decompose_affine_grid),
};

}  // namespace ferrule
