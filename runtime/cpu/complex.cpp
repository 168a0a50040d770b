// Kernels of elementwise ops on complex numbers, for both complex dtypes.
//
// Arithmetic is done in complex128: complex64 is rounded once, when it is
// stored, and its products overflow only where the result does. The functions
// are those of C99's Annex G; products and quotients are NumPy's, without the
// search for infinities that Annex G does after every product.
//
// An op takes complex operands when it has a line in `kKernels`: check_real of
// runtime/ops/common.h then lets them through.
#include <cmath>
#include <complex>
#include <numbers>

#include "runtime/cpu/complex.h"
#include "runtime/cpu/elementwise.h"
#include "runtime/cpu/strided_copy.h"

namespace ferrule {
namespace cpu {
namespace {

using C = std::complex<double>;

// --- arithmetic

C add(C a, C b) { return a + b; }
C sub(C a, C b) { return a - b; }
C neg(C z) { return -z; }
C conj(C z) { return std::conj(z); }

C mul(C a, C b) {
  return {a.real() * b.real() - a.imag() * b.imag(),
          a.real() * b.imag() + a.imag() * b.real()};
}

// Smith, "Algorithm 116: Complex division", 1962.
C div(C a, C b) {
  const double re = b.real(), im = b.imag();
  if (re == 0 && im == 0) {
    return {a.real() / std::abs(re), a.imag() / std::abs(re)};
  }
  if (std::abs(re) >= std::abs(im)) {
    const double ratio = im / re, scale = 1 / (re + im * ratio);
    return {(a.real() + a.imag() * ratio) * scale,
            (a.imag() - a.real() * ratio) * scale};
  }
  const double ratio = re / im, scale = 1 / (im + re * ratio);
  return {(a.real() * ratio + a.imag()) * scale,
          (a.imag() * ratio - a.real()) * scale};
}

// Small whole exponents by squaring, which is exact where products are.
C pow(C a, C b) {
  if (b == 0.0) return 1;
  if (a == 0.0) {
    const double nan = std::nan("");
    return b.real() > 0 && b.imag() == 0 ? C(0) : C(nan, nan);
  }
  if (b.imag() == 0 && std::abs(b.real()) < 100 &&
      b.real() == std::floor(b.real())) {
    C power = 1, square = a;
    for (int n = static_cast<int>(std::abs(b.real())); n > 0; n /= 2) {
      if (n % 2) power = mul(power, square);
      if (n > 1) square = mul(square, square);
    }
    return b.real() > 0 ? power : div(1, power);
  }
  return std::pow(a, b);
}

double abs(C z) { return std::hypot(z.real(), z.imag()); }
double angle(C z) { return std::atan2(z.imag(), z.real()); }
C sign(C z) {
  const double r = abs(z);
  return r == 0 ? C(0) : C(z.real() / r, z.imag() / r);
}
C square(C z) { return mul(z, z); }
C reciprocal(C z) { return div(1, z); }
C sqrt(C z) { return std::sqrt(z); }
C rsqrt(C z) { return div(1, std::sqrt(z)); }

// --- functions

C exp(C z) { return std::exp(z); }
C exp2(C z) { return std::exp(z * std::numbers::ln2); }
// (e^x - 1) cos y - 2 sin^2(y / 2) keeps what e^x cos y - 1 cancels.
C expm1(C z) {
  const double x = z.real(), y = z.imag();
  if (!std::isfinite(x) || !std::isfinite(y)) return std::exp(z) - 1.0;
  const double half = std::sin(y / 2);
  return {std::expm1(x) * std::cos(y) - 2 * half * half,
          std::exp(x) * std::sin(y)};
}
C log(C z) { return std::log(z); }
C log2(C z) { return std::log(z) / std::numbers::ln2; }
C log10(C z) { return std::log(z) / std::numbers::ln10; }
// Near 0: log |1 + z| = log1p(|1 + z|^2 - 1) / 2.
C log1p(C z) {
  const double x = z.real(), y = z.imag();
  if (!(abs(z) < 0.5)) return std::log(C(1 + x, y));
  return {std::log1p(x * (2 + x) + y * y) / 2, std::atan2(y, 1 + x)};
}
C sin(C z) { return std::sin(z); }
C cos(C z) { return std::cos(z); }
C tan(C z) { return std::tan(z); }
C asin(C z) { return std::asin(z); }
C acos(C z) { return std::acos(z); }
C atan(C z) { return std::atan(z); }
C sinh(C z) { return std::sinh(z); }
C cosh(C z) { return std::cosh(z); }
C tanh(C z) { return std::tanh(z); }
C asinh(C z) { return std::asinh(z); }
C acosh(C z) { return std::acosh(z); }
C atanh(C z) { return std::atanh(z); }
C sigmoid(C z) { return div(1, 1.0 + std::exp(-z)); }

// --- predicates

bool truth(C z) { return z != 0.0; }
bool logical_not(C z) { return !truth(z); }
bool isfinite(C z) {
  return std::isfinite(z.real()) && std::isfinite(z.imag());
}
bool isinf(C z) { return std::isinf(z.real()) || std::isinf(z.imag()); }
bool isnan(C z) { return std::isnan(z.real()) || std::isnan(z.imag()); }
bool eq(C a, C b) { return a == b; }
bool ne(C a, C b) { return a != b; }
bool logical_and(C a, C b) { return truth(a) && truth(b); }
bool logical_or(C a, C b) { return truth(a) || truth(b); }
bool logical_xor(C a, C b) { return truth(a) != truth(b); }

// --- kernels

template <class R>
constexpr DType dtype_of = DType::c128;
template <>
constexpr DType dtype_of<double> = DType::f64;
template <>
constexpr DType dtype_of<bool> = DType::bool_;

template <class R, R (*f)(C)>
void unary(OpCall& c) {
  const TileFn tile = [](void* out, const void* const* in, int64_t n) {
    const auto* z = static_cast<const C*>(in[0]);
    for (int64_t i = 0; i < n; ++i) static_cast<R*>(out)[i] = f(z[i]);
  };
  const Input in[] = {{c, 0, DType::c128}};
  elementwise(tile, c.out_impl(), dtype_of<R>, in, kCostlyGrain);
}

template <class R, R (*f)(C, C)>
void binary(OpCall& c) {
  const TileFn tile = [](void* out, const void* const* in, int64_t n) {
    const auto* a = static_cast<const C*>(in[0]);
    const auto* b = static_cast<const C*>(in[1]);
    for (int64_t i = 0; i < n; ++i) static_cast<R*>(out)[i] = f(a[i], b[i]);
  };
  const Input in[] = {{c, 0, DType::c128}, {c, 1, DType::c128}};
  elementwise(tile, c.out_impl(), dtype_of<R>, in, kCostlyGrain);
}

// Where argument `mask` holds, argument `yes`, elsewhere `no`.
template <int mask, int yes, int no>
void choose(OpCall& c) {
  const TileFn tile = [](void* out, const void* const* in, int64_t n) {
    const auto* m = static_cast<const uint8_t*>(in[0]);
    const auto* a = static_cast<const C*>(in[1]);
    const auto* b = static_cast<const C*>(in[2]);
    for (int64_t i = 0; i < n; ++i) {
      static_cast<C*>(out)[i] = m[i] ? a[i] : b[i];
    }
  };
  const Input in[] = {
      {c, mask, DType::bool_}, {c, yes, DType::c128}, {c, no, DType::c128}};
  elementwise(tile, c.out_impl(), DType::c128, in);
}

constexpr KernelDef kernel(const char* op, Kernel run) {
  return {.name = op, .run = run, .contiguous = false, .elementwise = true};
}

const KernelDef kKernels[] = {
    kernel("abs", unary<double, abs>),
    kernel("acos", unary<C, acos>),
    kernel("acosh", unary<C, acosh>),
    kernel("add", binary<C, add>),
    kernel("angle", unary<double, angle>),
    kernel("asin", unary<C, asin>),
    kernel("asinh", unary<C, asinh>),
    kernel("atan", unary<C, atan>),
    kernel("atanh", unary<C, atanh>),
    kernel("cos", unary<C, cos>),
    kernel("cosh", unary<C, cosh>),
    kernel("div", binary<C, div>),
    kernel("eq", binary<bool, eq>),
    kernel("exp", unary<C, exp>),
    kernel("exp2", unary<C, exp2>),
    kernel("expm1", unary<C, expm1>),
    kernel("isfinite", unary<bool, isfinite>),
    kernel("isinf", unary<bool, isinf>),
    kernel("isnan", unary<bool, isnan>),
    kernel("log", unary<C, log>),
    kernel("log10", unary<C, log10>),
    kernel("log1p", unary<C, log1p>),
    kernel("log2", unary<C, log2>),
    kernel("logical_and", binary<bool, logical_and>),
    kernel("logical_not", unary<bool, logical_not>),
    kernel("logical_or", binary<bool, logical_or>),
    kernel("logical_xor", binary<bool, logical_xor>),
    kernel("masked_fill", choose<1, 2, 0>),
    kernel("mul", binary<C, mul>),
    kernel("ne", binary<bool, ne>),
    kernel("neg", unary<C, neg>),
    kernel("pow", binary<C, pow>),
    kernel("reciprocal", unary<C, reciprocal>),
    kernel("rsqrt", unary<C, rsqrt>),
    kernel("sigmoid", unary<C, sigmoid>),
    kernel("sign", unary<C, sign>),
    kernel("sin", unary<C, sin>),
    kernel("sinh", unary<C, sinh>),
    kernel("sqrt", unary<C, sqrt>),
    kernel("square", unary<C, square>),
    kernel("sub", binary<C, sub>),
    kernel("tan", unary<C, tan>),
    kernel("tanh", unary<C, tanh>),
    kernel("where", choose<0, 1, 2>),
};

// The real or (part 1) imaginary parts of a complex tensor.
struct Part : TensorImpl {
  Part(const TensorImpl& z, int part) {
    dtype = to_real(z.dtype);
    storage = z.storage;
    Dims steps;
    for (int64_t s : z.steps()) steps.push(2 * s);
    set_geometry(z.sizes(), steps, 2 * z.offset + part);
  }
};

void join_parts(OpCall& c) {
  strided_copy(c.in(0), Part(c.out_impl(), 0));
  strided_copy(c.in(1), Part(c.out_impl(), 1));
}

// A real number lies on one of two rays: pi below zero, else 0.
void angle_of_real(OpCall& c) {
  const TileFn tile = [](void* out, const void* const* in, int64_t n) {
    const auto* x = static_cast<const double*>(in[0]);
    for (int64_t i = 0; i < n; ++i) {
      const double ray = x[i] < 0 ? std::numbers::pi : 0;
      static_cast<double*>(out)[i] = std::isnan(x[i]) ? x[i] : ray;
    }
  };
  const Input in[] = {{c, 0, DType::f64}};
  elementwise(tile, c.out_impl(), DType::f64, in);
}

}  // namespace

std::span<const KernelDef> complex_kernels() {
  if constexpr (!computes(DType::c128)) return {};
  return kKernels;
}

}  // namespace cpu

extern const KernelDef conj_cpu = {
    .name = "conj",
    .run = cpu::unary<cpu::C, cpu::conj>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef complex_cpu = {
    .name = "complex",
    .run = cpu::join_parts,
    .contiguous = false,
};
extern const KernelDef angle_cpu = {
    .name = "angle",
    .run = cpu::angle_of_real,
    .contiguous = false,
    .elementwise = true,
};

}  // namespace ferrule
