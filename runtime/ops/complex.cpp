// Complex numbers: their parts, as views and as values.
#include <algorithm>

#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/graph/passes/simplify.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

void require_complex(const OpCall& c) {
  if (is_complex(c.in(0).dtype)) return;
  c.fail<DTypeError>("'", c.info.schema.params[0].name,
                     "' must be complex, got ", c.in(0).dtype, " of shape ",
                     c.in(0).sizes());
}

// The view of one part. A part has half the size of an element, so its steps
// are twice as many.
void infer_part(OpCall& c, int part) {
  const TensorImpl& x = c.in(0);
  Dims steps;
  for (int64_t s : x.steps()) steps.push(2 * s);
  c.view(0, 0, x.sizes(), steps, 2 * x.offset + part);
  c.outs[0]->dtype = to_real(x.dtype);
}

void infer_real(OpCall& c) {
  const TensorImpl& x = c.in(0);
  if (is_complex(x.dtype)) return infer_part(c, 0);
  c.view(0, 0, x.sizes(), x.steps(), x.offset);
}

void infer_imag(OpCall& c) {
  require_complex(c);
  infer_part(c, 1);
}

void infer_conj(OpCall& c) {
  const TensorImpl& x = c.in(0);
  c.compute = x.dtype;
  if (is_complex(x.dtype)) {
    c.out_like(0, 0);
  } else {
    c.view(0, 0, x.sizes(), x.steps(), x.offset);
  }
}

void infer_angle(OpCall& c) {
  const DType t = c.in(0).dtype;
  c.compute = is_differentiable(t) ? t : DType::f32;
  c.out(0, to_real(c.compute), c.in(0).sizes());
}

void infer_view_as_real(OpCall& c) {
  require_complex(c);
  const TensorImpl& x = c.in(0);
  Dims shape(x.sizes()), steps;
  for (int64_t s : x.steps()) steps.push(2 * s);
  shape.push(2);
  steps.push(1);
  c.view(0, 0, shape, steps, 2 * x.offset);
  c.outs[0]->dtype = to_real(x.dtype);
}

void infer_view_as_complex(OpCall& c) {
  const TensorImpl& x = c.in(0);
  if (x.dtype != DType::f32 && x.dtype != DType::f64) {
    c.fail<DTypeError>("input must be float32 or float64, got ", x.dtype);
  }
  if (x.ndim == 0 || x.shape[x.ndim - 1] != 2) {
    c.fail<ShapeError>("the last dimension must have size 2, the real and the "
                       "imaginary part, got shape ",
                       x.sizes());
  }
  Dims shape(x.sizes()), steps(x.steps());
  shape.erase(x.ndim - 1);
  steps.erase(x.ndim - 1);
  bool pairs = x.strides[x.ndim - 1] == 1 && x.offset % 2 == 0;
  for (int i = 0; i < steps.n; ++i) {
    pairs &= steps[i] % 2 == 0 || shape[i] == 1;
    steps[i] /= 2;
  }
  if (!pairs && x.numel > 0) {
    c.fail<ShapeError>("the parts of a number must lie side by side, got "
                       "strides ",
                       x.steps(), " and offset ", x.offset,
                       "; call contiguous() first");
  }
  c.view(0, 0, shape, steps, x.offset / 2);
  c.outs[0]->dtype = to_complex(x.dtype);
}

void infer_complex(OpCall& c) {
  for (int i : {0, 1}) check_floating(c, i);
  if (c.in(0).dtype != c.in(1).dtype) {
    c.fail<DTypeError>("'real' is ", c.in(0).dtype, " and 'imag' is ",
                       c.in(1).dtype, "; convert one of them with .to(dtype)");
  }
  c.out(0, to_complex(c.in(0).dtype),
        broadcast(c, c.in(0).sizes(), c.in(1).sizes()));
}

}  // namespace

extern const OpDef real_op = {
    .name = "real",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(The real parts of a tensor, as a view into its memory.

Args:
    input: any shape; a tensor that is not complex is its own real part.

Returns:
    A view of the same shape, float32 of complex64 and float64 of complex128.
    Writing to it writes the real parts of `input`.

Example:
    >>> import ferrule as fe
    >>> z = fe.tensor([1 + 2j, 3 - 1j])
    >>> fe.real(z).tolist(), z.real.fill_(0).tolist(), z.tolist()
    ([1.0, 3.0], [0.0, 0.0], [2j, -1j])

Source: torch.real.
)"),
    .examples = FE_DOC("z(2, 3)\nz()\nf(3)"),
    .reference = FE_DOC("np.real(input)"),
    .where = kFunction,
    .infer = infer_real,
    .vjp = FE_GRAD([](Vjp& v) { v.set(0, v.grad()); }),
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef imag_op = {
    .name = "imag",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(The imaginary parts of a tensor, as a view into its memory.

Args:
    input: complex, any shape.

Returns:
    A view of the same shape, float32 of complex64 and float64 of complex128.
    Writing to it writes the imaginary parts of `input`.

Raises:
    DTypeError: `input` is not complex.

Example:
    >>> import ferrule as fe
    >>> fe.imag(fe.tensor([1 + 2j, 3 - 1j])).tolist()
    [2.0, -1.0]

Source: torch.imag.
)"),
    .examples = FE_DOC("z(2, 3)\nz()"),
    .reference = FE_DOC("np.imag(input)"),
    .where = kFunction,
    .infer = infer_imag,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::complex(op::zeros_like(v.grad()), v.grad()));
    }),
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef view_as_real_op = {
    .name = "view_as_real",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Complex numbers as pairs of their parts, as a view.

Args:
    input: complex, shape (...).

Returns:
    A view of shape (..., 2): real and imaginary parts.

Raises:
    DTypeError: `input` is not complex.

Example:
    >>> import ferrule as fe
    >>> fe.view_as_real(fe.tensor([1 + 2j, 3 - 1j])).tolist()
    [[1.0, 2.0], [3.0, -1.0]]

Source: torch.view_as_real.
)"),
    .examples = FE_DOC("z(2, 3)\nz()"),
    .reference = FE_DOC("np.stack([np.real(input), np.imag(input)], -1)"),
    .where = kFunction,
    .infer = infer_view_as_real,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor g = v.grad();
      v.set(0, op::complex(op::select(g, -1, 0), op::select(g, -1, 1)));
    }),
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef view_as_complex_op = {
    .name = "view_as_complex",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Pairs of numbers as complex numbers, as a view.

Args:
    input: float32 or float64, shape (..., 2), each pair side by side in memory.

Returns:
    A view of shape (...), complex64 or complex128.

Raises:
    ShapeError: the last dimension has another size, or other strides.
    DTypeError: there is no complex dtype with such parts.

Example:
    >>> import ferrule as fe
    >>> fe.view_as_complex(fe.tensor([[1.0, 2.0], [3.0, -1.0]])).tolist()
    [(1+2j), (3-1j)]

Source: torch.view_as_complex.
)"),
    .examples = FE_DOC("f(2, 3, 2)\nf(2)"),
    .reference = FE_DOC("input[..., 0] + 1j * input[..., 1]"),
    .where = kFunction,
    .autocast = Autocast::f32,
    .infer = infer_view_as_complex,
    .vjp = FE_GRAD([](Vjp& v) { v.set(0, op::view_as_real(v.grad())); }),
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef complex_op = {
    .name = "complex",
    .sig = "real: Tensor, imag: Tensor",
    .doc = FE_DOC(R"(Complex numbers of their real and imaginary parts.

Args:
    real: floating-point.
    imag: of the same dtype; the shapes broadcast.

Returns:
    The broadcast shape; complex128 of float64, else complex64.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: the dtypes differ, or are not floating-point.

Example:
    >>> import ferrule as fe
    >>> fe.complex(fe.tensor([1.0, 3.0]), fe.tensor([2.0, -1.0])).tolist()
    [(1+2j), (3-1j)]

Source: torch.complex.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\nf(2, 1), f(3)\nf(), f()"),
    .reference = FE_DOC("real + 1j * imag"),
    .where = kFunction,
    .infer = infer_complex,
    .vjp = FE_GRAD([](Vjp& v) {
      if (v.needs(0)) v.set(0, op::real(v.grad()));
      if (v.needs(1)) v.set(1, op::imag(v.grad()));
    }),
    .batch = FE_GRAD(batch_elementwise),
};

extern const OpDef polar_op = {
    .name = "polar",
    .sig = "abs: Tensor[float], angle: Tensor[float]",
    .doc = FE_DOC(R"(Complex numbers of their magnitude and angle.

Args:
    abs: floating-point.
    angle: in radians, of the same dtype; the shapes broadcast.

Returns:
    abs cos(angle) + i abs sin(angle), of the broadcast shape; complex128 of
    float64, else complex64.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: the dtypes differ, or are not floating-point.

Example:
    >>> import ferrule as fe
    >>> fe.polar(fe.tensor([2.0]), fe.tensor([0.0])).tolist()
    [(2+0j)]

Source: torch.polar.
)"),
    .examples = FE_DOC("p(2, 3), f(2, 3)\np(2, 1), f(3)"),
    .reference = FE_DOC("abs * np.exp(1j * angle)"),
    .where = kFunction,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) {
      Results r;
      r.n = 1;
      const Tensor abs = c.tensor(0), angle = c.tensor(1);
      r[0] = op::complex(op::mul(abs, op::cos(angle)),
                         op::mul(abs, op::sin(angle)));
      return r;
    }),
};

extern const OpDef conj_op = {
    .name = "conj",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(The complex conjugate of every element.

It is computed at once: the result of a complex tensor is a new one, where
PyTorch gives a view that remembers to be conjugated.

Args:
    input: any shape; a tensor that is not complex is its own conjugate.

Returns:
    Tensor of the same shape and dtype.

Example:
    >>> import ferrule as fe
    >>> fe.conj(fe.tensor([1 + 2j])).tolist()
    [(1-2j)]

Source: numpy.conj.
)"),
    .examples = FE_DOC("z(2, 3)\nf(3)"),
    .reference = FE_DOC("np.conj(input)"),
    .infer = infer_conj,
    .vjp = FE_GRAD([](Vjp& v) { v.set(0, conj(v.grad())); }),
    .simplify = involution,
};

extern const OpDef conj_physical_op = {
    .name = "conj_physical",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(The complex conjugate of every element: `conj`.

Args:
    input: any shape; a tensor that is not complex is its own conjugate.

Returns:
    Tensor of the same shape and dtype.

Example:
    >>> import ferrule as fe
    >>> fe.conj_physical(fe.tensor([1 + 2j])).tolist()
    [(1-2j)]

Source: torch.conj_physical.
)"),
    .examples = FE_DOC("z(2, 3)\nf(3)"),
    .reference = FE_DOC("np.conj(input)"),
    .decompose = FE_GRAD([](OpCall& c) { return one(op::conj(c.tensor(0))); }),
};

extern const OpDef angle_op = {
    .name = "angle",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Angle of every element in the complex plane, in radians.

Its gradient at 0 is 0.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape, real, from -pi to pi: of real numbers 0, or pi for
    negative ones; NaN stays NaN.

Example:
    >>> import ferrule as fe
    >>> fe.angle(fe.tensor([1.0, 2j, -1.0])).tolist()
    [0.0, 1.5707963705062866, 3.1415927410125732]

Source: torch.angle.
)"),
    .examples = FE_DOC("z(2, 3)\nf(3)"),
    .reference = FE_DOC("np.angle(input)"),
    .saves = "input",
    .infer = infer_angle,
    // The angle grows across the ray: i z / |z|^2 = i / conj(z).
    .vjp = FE_GRAD([](Vjp& v) {
      if (!is_complex(v.dtype(0))) return v.set(0, op::zeros_like(v.grad()));
      const Tensor z = v.in(0), x = op::real(z), y = op::imag(z);
      const Tensor square = op::add(op::mul(x, x), op::mul(y, y));
      const Tensor slope = op::div(v.grad(), square);
      const Tensor g =
          op::complex(op::neg(op::mul(slope, y)), op::mul(slope, x));
      v.set(0, op::where(op::eq(z, 0), 0.0, g));
    }),
};

extern const OpDef sgn_op = {
    .name = "sgn",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Every element over its magnitude, 0 for 0: `sign`.

Args:
    input: any shape and dtype.

Returns:
    Tensor of the same shape and dtype.

Example:
    >>> import ferrule as fe
    >>> fe.sgn(fe.tensor([3j, 0.0, -2.0])).tolist()
    [1j, 0j, (-1+0j)]

Source: torch.sgn.
)"),
    .examples = FE_DOC("z(2, 3)\nf(3)"),
    .reference = FE_DOC("input / np.abs(input)"),
    .decompose = FE_GRAD([](OpCall& c) { return one(op::sign(c.tensor(0))); }),
};

}  // namespace ferrule
