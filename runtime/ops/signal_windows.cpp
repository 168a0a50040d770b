// Window functions: weights of the samples of a signal, in the module
// `signal.windows` and under their older names.
#include <cmath>
#include <initializer_list>

#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

constexpr double kPi = 3.14159265358979323846;

// A window of the call: its argument 0 is the number of samples; `symmetric`
// for filters, periodic for spectra. Computed in float64 and rounded once.
class Window {
 public:
  Window(const OpCall& c, bool symmetric, int dtype_at) {
    count_ = c.sym(0);
    if (count_.value < 0) {
      c.fail<ValueError>(c.info.schema.params[0].name,
                         " must be 0 or more, got ", count_.value);
    }
    if (c.has(dtype_at)) dtype_ = c.dtype(dtype_at);
    if (!is_float(dtype_)) {
      c.fail<DTypeError>("dtype must be floating-point, got ", dtype_);
    }
    device_ = c.has(dtype_at + 1) ? c.args[dtype_at + 1] : Arg();
    // The period, whose last sample is the first again.
    period_ = symmetric ? count_ - 1 : count_;
  }

  bool trivial() const { return count_.value <= 1; }
  Results ones() const {
    return one(op::ones(IntList{count_}, dtype_, device_));
  }
  Results result(const Tensor& w) const { return one(op::cast(w, dtype_)); }

  // 0 .. count - 1, and the same from -1 to 1.
  Tensor places() const {
    return op::cast(op::arange(count_, Arg(), 1, DType::i64, device_),
                    DType::f64);
  }
  Tensor centred() const {
    return op::sub(op::mul(op::div(places(), period_), 2.0), 1.0);
  }
  Int period() const { return period_; }

  // Sum over k of (-1)^k terms[k] cos(2 pi k i / period).
  Tensor cosines(std::initializer_list<double> terms) const {
    const Tensor turn = op::mul(op::div(places(), period_), 2 * kPi);
    Tensor sum;
    int k = 0;
    for (double term : terms) {
      const double factor = k % 2 == 0 ? term : -term;
      const Tensor wave = op::mul(op::cos(op::mul(turn, k)), factor);
      sum = sum ? op::add(sum, wave) : wave;
      ++k;
    }
    return sum;
  }
  Tensor triangle() const { return op::sub(1.0, op::abs(centred())); }
  // I0(beta sqrt(1 - x^2)) / I0(beta), without overflow.
  Tensor kaiser(double beta) const {
    const Tensor x = centred();
    const Tensor rest = op::clamp_min(op::sub(1.0, op::mul(x, x)), 0.0);
    const Tensor at = op::mul(op::sqrt(rest), beta);
    const Tensor whole = op::full(IntList{}, beta, DType::f64, device_);
    const Tensor ratio = op::div(op::special_i0e(at), op::special_i0e(whole));
    return op::mul(ratio, op::exp(op::sub(at, std::abs(beta))));
  }

 private:
  Int count_, period_;
  DType dtype_ = DType::f32;
  Arg device_;
};

// The windows that are sums of cosines. `symmetric_at`: the argument that says
// so; `periodic`: the opposite.
Results cosine_sum(OpCall& c, int flag_at, bool periodic, int dtype_at,
                   std::initializer_list<double> terms) {
  const Window w(c, c.b(flag_at) != periodic, dtype_at);
  return w.trivial() ? w.ones() : w.result(w.cosines(terms));
}

#endif

}  // namespace

extern const OpDef signal_windows_hann_op = {
    .name = "signal_windows_hann",
    .sig = "M: int, *, sym: bool = True, dtype: dtype? = None, device: device? "
           "= None",
    .doc = FE_DOC(R"(Hann's window: sin(pi n / (M - 1))^2.

Args:
    M: number of samples.
    sym: True for filters; False for spectra: one period of a window of M + 1.
    dtype: None is float32.
    device: None is the CPU.

Returns:
    Shape (M,).

Raises:
    ValueError: a negative number.
    DTypeError: `dtype` is not floating-point.

Example:
    >>> import ferrule as fe
    >>> fe.signal.windows.hann(3).tolist()
    [0.0, 1.0, 0.0]

Source: scipy.signal.windows.hann.
)"),
    .examples = FE_DOC("7\n8, sym=False\n1\n0"),
    .reference = FE_DOC("np.hanning(M + (not sym))[:M]"),
    .where = kInternal,
    .aliases = FE_DOC("signal.windows.hann"),
    .decompose = FE_GRAD(
        [](OpCall& c) { return cosine_sum(c, 1, false, 2, {0.5, 0.5}); }),
};

extern const OpDef signal_windows_hamming_op = {
    .name = "signal_windows_hamming",
    .sig = "M: int, *, sym: bool = True, dtype: dtype? = None, device: device? "
           "= None",
    .doc = FE_DOC(R"(Hamming's window: 0.54 - 0.46 cos(2 pi n / (M - 1)).

Args:
    M: number of samples.
    sym: True for filters; False for spectra: one period of a window of M + 1.
    dtype: None is float32.
    device: None is the CPU.

Returns:
    Shape (M,).

Raises:
    ValueError: a negative number.
    DTypeError: `dtype` is not floating-point.

Example:
    >>> import ferrule as fe
    >>> [round(v, 2) for v in fe.signal.windows.hamming(3).tolist()]
    [0.08, 1.0, 0.08]

Source: scipy.signal.windows.hamming.
)"),
    .examples = FE_DOC("7\n8, sym=False\n1\n0"),
    .reference = FE_DOC("np.hamming(M + (not sym))[:M]"),
    .where = kInternal,
    .aliases = FE_DOC("signal.windows.hamming"),
    .decompose = FE_GRAD(
        [](OpCall& c) { return cosine_sum(c, 1, false, 2, {0.54, 0.46}); }),
};

extern const OpDef signal_windows_blackman_op = {
    .name = "signal_windows_blackman",
    .sig = "M: int, *, sym: bool = True, dtype: dtype? = None, device: device? "
           "= None",
    .doc = FE_DOC(R"(Blackman's window: three cosines, with small side lobes.

Args:
    M: number of samples.
    sym: True for filters; False for spectra: one period of a window of M + 1.
    dtype: None is float32.
    device: None is the CPU.

Returns:
    Shape (M,).

Raises:
    ValueError: a negative number.
    DTypeError: `dtype` is not floating-point.

Example:
    >>> import ferrule as fe
    >>> [abs(round(v, 4)) for v in fe.signal.windows.blackman(3).tolist()]
    [0.0, 1.0, 0.0]

Source: scipy.signal.windows.blackman.
)"),
    .examples = FE_DOC("7\n8, sym=False\n1\n0"),
    .reference = FE_DOC("np.blackman(M + (not sym))[:M]"),
    .where = kInternal,
    .aliases = FE_DOC("signal.windows.blackman"),
    .decompose = FE_GRAD([](OpCall& c) {
      return cosine_sum(c, 1, false, 2, {0.42, 0.5, 0.08});
    }),
};

extern const OpDef signal_windows_nuttall_op = {
    .name = "signal_windows_nuttall",
    .sig = "M: int, *, sym: bool = True, dtype: dtype? = None, device: device? "
           "= None",
    .doc =
        FE_DOC(R"(Nuttall's window: four cosines, with the smallest side lobes.

Args:
    M: number of samples.
    sym: True for filters; False for spectra: one period of a window of M + 1.
    dtype: None is float32.
    device: None is the CPU.

Returns:
    Shape (M,).

Raises:
    ValueError: a negative number.
    DTypeError: `dtype` is not floating-point.

Example:
    >>> import ferrule as fe
    >>> round(fe.signal.windows.nuttall(5)[2].item(), 4)
    1.0

Source: Nuttall, "Some Windows with Very Good Sidelobe Behavior", 1981.
)"),
    .examples = FE_DOC("7\n8, sym=False\n1"),
    .reference = FE_DOC(
        "np.ones(1) if M == 1 else sum((-1) ** k * a * np.cos(2 * np.pi * k * "
        "np.arange(M) / (M - sym)) for k, a in enumerate([0.3635819, "
        "0.4891775, "
        "0.1365995, 0.0106411]))"),
    .where = kInternal,
    .aliases = FE_DOC("signal.windows.nuttall"),
    .decompose = FE_GRAD([](OpCall& c) {
      return cosine_sum(c, 1, false, 2,
                        {0.3635819, 0.4891775, 0.1365995, 0.0106411});
    }),
};

extern const OpDef signal_windows_bartlett_op = {
    .name = "signal_windows_bartlett",
    .sig = "M: int, *, sym: bool = True, dtype: dtype? = None, device: device? "
           "= None",
    .doc = FE_DOC(R"(Bartlett's window: a triangle.

Args:
    M: number of samples.
    sym: True for filters; False for spectra: one period of a window of M + 1.
    dtype: None is float32.
    device: None is the CPU.

Returns:
    Shape (M,).

Raises:
    ValueError: a negative number.
    DTypeError: `dtype` is not floating-point.

Example:
    >>> import ferrule as fe
    >>> fe.signal.windows.bartlett(5).tolist()
    [0.0, 0.5, 1.0, 0.5, 0.0]

Source: scipy.signal.windows.bartlett.
)"),
    .examples = FE_DOC("7\n8, sym=False\n1\n0"),
    .reference = FE_DOC("np.bartlett(M + (not sym))[:M]"),
    .where = kInternal,
    .aliases = FE_DOC("signal.windows.bartlett"),
    .decompose = FE_GRAD([](OpCall& c) {
      const Window w(c, c.b(1), 2);
      return w.trivial() ? w.ones() : w.result(w.triangle());
    }),
};

extern const OpDef signal_windows_cosine_op = {
    .name = "signal_windows_cosine",
    .sig = "M: int, *, sym: bool = True, dtype: dtype? = None, device: device? "
           "= None",
    .doc = FE_DOC(R"(Half a wave: sin(pi (n + 1/2) / M).

Args:
    M: number of samples.
    sym: True for filters; False for spectra: one period of a window of M + 1.
    dtype: None is float32.
    device: None is the CPU.

Returns:
    Shape (M,).

Raises:
    ValueError: a negative number.
    DTypeError: `dtype` is not floating-point.

Example:
    >>> import ferrule as fe
    >>> [round(v, 4) for v in fe.signal.windows.cosine(3).tolist()]
    [0.5, 1.0, 0.5]

Source: scipy.signal.windows.cosine.
)"),
    .examples = FE_DOC("7\n8, sym=False\n1\n0"),
    .reference =
        FE_DOC("np.ones(M) if M < 2 else np.sin(np.pi * (np.arange(M) + "
               "0.5) / (M + (not sym)))"),
    .where = kInternal,
    .aliases = FE_DOC("signal.windows.cosine"),
    .decompose = FE_GRAD([](OpCall& c) {
      const Window w(c, c.b(1), 2);
      if (w.trivial()) return w.ones();
      const Tensor at = op::div(op::add(w.places(), 0.5), w.period() + 1);
      return w.result(op::sin(op::mul(at, kPi)));
    }),
};

extern const OpDef signal_windows_gaussian_op = {
    .name = "signal_windows_gaussian",
    .sig = "M: int, *, std: float = 1.0, sym: bool = True, dtype: dtype? = "
           "None, device: device? = None",
    .doc = FE_DOC(R"(Gauss's window: exp(-((n - (M - 1) / 2) / std)^2 / 2).

Args:
    M: number of samples.
    std: the standard deviation, in samples.
    sym: True for filters; False for spectra: one period of a window of M + 1.
    dtype: None is float32.
    device: None is the CPU.

Returns:
    Shape (M,).

Raises:
    ValueError: a negative number, or std is not positive.
    DTypeError: `dtype` is not floating-point.

Example:
    >>> import ferrule as fe
    >>> [round(v, 4) for v in fe.signal.windows.gaussian(3).tolist()]
    [0.6065, 1.0, 0.6065]

Source: scipy.signal.windows.gaussian.
)"),
    .examples = FE_DOC("7\n8, std=2.5, sym=False\n1\n0"),
    .reference =
        FE_DOC("np.ones(M) if M < 2 else np.exp(-((np.arange(M) - (M - "
               "sym) / 2) / std) ** 2 / 2)"),
    .where = kInternal,
    .aliases = FE_DOC("signal.windows.gaussian"),
    .decompose = FE_GRAD([](OpCall& c) {
      const Window w(c, c.b(2), 3);
      const double std = c.f(1);
      if (!(std > 0)) c.fail<ValueError>("std must be positive, got ", std);
      if (w.trivial()) return w.ones();
      const Tensor from_centre =
          op::div(op::sub(op::mul(w.places(), 2.0), w.period()), 2 * std);
      return w.result(op::exp(op::mul(op::square(from_centre), -0.5)));
    }),
};

extern const OpDef signal_windows_exponential_op = {
    .name = "signal_windows_exponential",
    .sig = "M: int, *, center: float? = None, tau: float = 1.0, sym: bool = "
           "True, dtype: dtype? = None, device: device? = None",
    .doc =
        FE_DOC(R"(Falls exponentially from a centre: exp(-|n - center| / tau).

Args:
    M: number of samples.
    center: where it is 1; None is the middle, (M - 1) / 2.
    tau: what it falls by 1 / e in, in samples.
    sym: True for filters; False for spectra: one period of a window of M + 1.
    dtype: None is float32.
    device: None is the CPU.

Returns:
    Shape (M,).

Raises:
    ValueError: a negative number, tau is not positive, or a centre with `sym`.
    DTypeError: `dtype` is not floating-point.

Example:
    >>> import ferrule as fe
    >>> [round(v, 4) for v in fe.signal.windows.exponential(3).tolist()]
    [0.3679, 1.0, 0.3679]

Source: scipy.signal.windows.exponential.
)"),
    .examples = FE_DOC("7\n8, tau=2.5, sym=False\n5, center=1.5, sym=False\n1"),
    .reference =
        FE_DOC("np.ones(M) if M < 2 else np.exp(-np.abs(np.arange(M) - "
               "((M - sym) / 2 if center is None else center)) / tau)"),
    .where = kInternal,
    .aliases = FE_DOC("signal.windows.exponential"),
    .decompose = FE_GRAD([](OpCall& c) {
      const Window w(c, c.b(3), 4);
      const double tau = c.f(2);
      if (!(tau > 0)) c.fail<ValueError>("tau must be positive, got ", tau);
      if (c.has(1) && c.b(3)) {
        c.fail<ValueError>("center must be None where sym is True");
      }
      if (w.trivial()) return w.ones();
      const Tensor distance =
          c.has(1)
              ? op::sub(w.places(), c.f(1))
              : op::mul(op::sub(op::mul(w.places(), 2.0), w.period()), 0.5);
      return w.result(op::exp(op::div(op::abs(distance), -tau)));
    }),
};

extern const OpDef signal_windows_kaiser_op = {
    .name = "signal_windows_kaiser",
    .sig = "M: int, *, beta: float = 12.0, sym: bool = True, dtype: dtype? = "
           "None, device: device? = None",
    .doc = FE_DOC(R"(Kaiser's window, which weighs the main lobe against others.

I0(beta sqrt(1 - (2 n / (M - 1) - 1)^2)) / I0(beta)

Args:
    M: number of samples.
    beta: the shape; 0 is a rectangle.
    sym: True for filters; False for spectra: one period of a window of M + 1.
    dtype: None is float32.
    device: None is the CPU.

Returns:
    Shape (M,).

Raises:
    ValueError: a negative number.
    DTypeError: `dtype` is not floating-point.

Example:
    >>> import ferrule as fe
    >>> fe.signal.windows.kaiser(3, beta=0.0).tolist()
    [1.0, 1.0, 1.0]

Source: scipy.signal.windows.kaiser.
)"),
    .examples = FE_DOC("7\n8, beta=2.5, sym=False\n1\n5, beta=0.0"),
    .reference = FE_DOC("np.kaiser(M + (not sym), beta)[:M]"),
    .where = kInternal,
    .aliases = FE_DOC("signal.windows.kaiser"),
    .decompose = FE_GRAD([](OpCall& c) {
      const double beta = c.f(1);
      if (!(beta >= 0))
        c.fail<ValueError>("beta must be 0 or more, got ", beta);
      const Window w(c, c.b(2), 3);
      return w.trivial() ? w.ones() : w.result(w.kaiser(beta));
    }),
};

extern const OpDef signal_windows_general_hamming_op = {
    .name = "signal_windows_general_hamming",
    .sig = "M: int, *, alpha: float = 0.54, sym: bool = True, dtype: dtype? = "
           "None, device: device? = None",
    .doc = FE_DOC(R"(alpha - (1 - alpha) cos(2 pi n / (M - 1)).

Args:
    M: number of samples.
    alpha: the share of the constant; 0.5 is Hann's window.
    sym: True for filters; False for spectra: one period of a window of M + 1.
    dtype: None is float32.
    device: None is the CPU.

Returns:
    Shape (M,).

Raises:
    ValueError: a negative number.
    DTypeError: `dtype` is not floating-point.

Example:
    >>> import ferrule as fe
    >>> fe.signal.windows.general_hamming(3, alpha=0.5).tolist()
    [0.0, 1.0, 0.0]

Source: scipy.signal.windows.general_hamming.
)"),
    .examples = FE_DOC("7\n8, alpha=0.7, sym=False\n1"),
    .reference =
        FE_DOC("np.ones(M) if M < 2 else alpha - (1 - alpha) * np.cos(2 "
               "* np.pi * np.arange(M) / (M - sym))"),
    .where = kInternal,
    .aliases = FE_DOC("signal.windows.general_hamming"),
    .decompose = FE_GRAD([](OpCall& c) {
      return cosine_sum(c, 2, false, 3, {c.f(1), 1 - c.f(1)});
    }),
};

extern const OpDef hann_window_op = {
    .name = "hann_window",
    .sig =
        "window_length: int, periodic: bool = True, *, dtype: dtype? = None, "
        "device: device? = None",
    .doc = FE_DOC(R"(Hann's window; see `signal.windows.hann`.

Args:
    window_length: number of samples.
    periodic: True for spectra, False for filters.
    dtype: None is float32.
    device: None is the CPU.

Returns:
    Shape (window_length,).

Raises:
    ValueError: a negative number.

Example:
    >>> import ferrule as fe
    >>> fe.hann_window(4).tolist()
    [0.0, 0.5, 1.0, 0.5]

Source: torch.hann_window.
)"),
    .examples = FE_DOC("8\n7, False\n1\n0"),
    .reference = FE_DOC("np.ones(1) if window_length == 1 else np.hanning("
                        "window_length + periodic)[:window_length]"),
    .where = kFunction,
    .decompose = FE_GRAD(
        [](OpCall& c) { return cosine_sum(c, 1, true, 2, {0.5, 0.5}); }),
};

extern const OpDef hamming_window_op = {
    .name = "hamming_window",
    .sig =
        "window_length: int, periodic: bool = True, alpha: float = 0.54, "
        "beta: float = 0.46, *, dtype: dtype? = None, device: device? = None",
    .doc = FE_DOC(R"(Hamming's window: alpha - beta cos(2 pi n / N).

Args:
    window_length: number of samples.
    periodic: True for spectra, False for filters.
    alpha, beta: the shares of the constant and of the cosine.
    dtype: None is float32.
    device: None is the CPU.

Returns:
    Shape (window_length,).

Raises:
    ValueError: a negative number.

Example:
    >>> import ferrule as fe
    >>> [round(v, 2) for v in fe.hamming_window(4).tolist()]
    [0.08, 0.54, 1.0, 0.54]

Source: torch.hamming_window.
)"),
    .examples = FE_DOC("8\n7, False\n1\n6, True, 0.6, 0.4"),
    .reference = FE_DOC(
        "np.ones(1) if window_length == 1 else alpha - beta * np.cos(2 * np.pi "
        "* np.arange(window_length) / (window_length - (not periodic)))"),
    .where = kFunction,
    .decompose = FE_GRAD(
        [](OpCall& c) { return cosine_sum(c, 1, true, 4, {c.f(2), c.f(3)}); }),
};

extern const OpDef blackman_window_op = {
    .name = "blackman_window",
    .sig =
        "window_length: int, periodic: bool = True, *, dtype: dtype? = None, "
        "device: device? = None",
    .doc = FE_DOC(R"(Blackman's window; see `signal.windows.blackman`.

Args:
    window_length: number of samples.
    periodic: True for spectra, False for filters.
    dtype: None is float32.
    device: None is the CPU.

Returns:
    Shape (window_length,).

Raises:
    ValueError: a negative number.

Example:
    >>> import ferrule as fe
    >>> [abs(round(v, 2)) for v in fe.blackman_window(4).tolist()]
    [0.0, 0.34, 1.0, 0.34]

Source: torch.blackman_window.
)"),
    .examples = FE_DOC("8\n7, False\n1"),
    .reference = FE_DOC("np.ones(1) if window_length == 1 else np.blackman("
                        "window_length + periodic)[:window_length]"),
    .where = kFunction,
    .decompose = FE_GRAD(
        [](OpCall& c) { return cosine_sum(c, 1, true, 2, {0.42, 0.5, 0.08}); }),
};

extern const OpDef bartlett_window_op = {
    .name = "bartlett_window",
    .sig =
        "window_length: int, periodic: bool = True, *, dtype: dtype? = None, "
        "device: device? = None",
    .doc = FE_DOC(R"(A triangle; see `signal.windows.bartlett`.

Args:
    window_length: number of samples.
    periodic: True for spectra, False for filters.
    dtype: None is float32.
    device: None is the CPU.

Returns:
    Shape (window_length,).

Raises:
    ValueError: a negative number.

Example:
    >>> import ferrule as fe
    >>> fe.bartlett_window(4).tolist()
    [0.0, 0.5, 1.0, 0.5]

Source: torch.bartlett_window.
)"),
    .examples = FE_DOC("8\n7, False\n1"),
    .reference = FE_DOC("np.ones(1) if window_length == 1 else np.bartlett("
                        "window_length + periodic)[:window_length]"),
    .where = kFunction,
    .decompose = FE_GRAD([](OpCall& c) {
      const Window w(c, !c.b(1), 2);
      return w.trivial() ? w.ones() : w.result(w.triangle());
    }),
};

extern const OpDef kaiser_window_op = {
    .name = "kaiser_window",
    .sig = "window_length: int, periodic: bool = True, beta: float = 12.0, *, "
           "dtype: dtype? = None, device: device? = None",
    .doc = FE_DOC(R"(Kaiser's window; see `signal.windows.kaiser`.

Args:
    window_length: number of samples.
    periodic: True for spectra, False for filters.
    beta: the shape; 0 is a rectangle.
    dtype: None is float32.
    device: None is the CPU.

Returns:
    Shape (window_length,).

Raises:
    ValueError: a negative number.

Example:
    >>> import ferrule as fe
    >>> fe.kaiser_window(4, beta=0.0).tolist()
    [1.0, 1.0, 1.0, 1.0]

Source: torch.kaiser_window.
)"),
    .examples = FE_DOC("8\n7, False, 3.0\n1"),
    .reference = FE_DOC("np.ones(1) if window_length == 1 else np.kaiser("
                        "window_length + periodic, beta)[:window_length]"),
    .where = kFunction,
    .decompose = FE_GRAD([](OpCall& c) {
      const double beta = c.f(2);
      if (!(beta >= 0))
        c.fail<ValueError>("beta must be 0 or more, got ", beta);
      const Window w(c, !c.b(1), 3);
      return w.trivial() ? w.ones() : w.result(w.kaiser(beta));
    }),
};

}  // namespace ferrule
