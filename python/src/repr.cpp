// Text of a tensor: values, summarised as NumPy does, and what it is.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "binding.h"

namespace ferrule::python {
namespace {

// What set_printoptions sets; guarded by the GIL.
struct PrintOptions {
  int precision = 4;         // digits behind the point
  int64_t threshold = 1000;  // larger tensors are summarised
  int64_t edge = 3;          // entries shown at both ends
  size_t width = 80;         // of a line
  enum { automatic, always, never } scientific = automatic;
};
PrintOptions options;

// Writes elements, all to the same width.
class Formatter {
 public:
  Formatter(const Tensor& t, bool summarise) : t_(t), summarise_(summarise) {
    if (is_differentiable(t.dtype())) choose_notation();
    each(0, t->bytes(),
         [&](const char* p) { width_ = std::max(width_, text(p).size()); });
  }

  std::string all(size_t indent) {
    std::string out;
    append_dim(out, 0, t_->bytes(), indent);
    return out;
  }

 private:
  bool skips(int64_t n) const { return summarise_ && n > 2 * options.edge; }

  // Visits the elements that are shown.
  template <class Visit>
  void each(int dim, const char* p, const Visit& visit) const {
    if (dim == t_.ndim()) return visit(p);
    int64_t n = t_.size(dim);
    int64_t step = t_.strides()[dim] * itemsize(t_.dtype());
    for (int64_t i = 0; i < n; ++i) {
      if (skips(n) && i == options.edge) i = n - options.edge;
      each(dim + 1, p + i * step, visit);
    }
  }

  // A floating or complex element; the imaginary part may be 0.
  Py_complex number(const char* p) const {
    nb::object o = own(element(p, t_.dtype()));
    return PyComplex_AsCComplex(o.ptr());
  }

  void choose_notation() {
    double low = INFINITY, high = 0;
    integral_ = true;
    each(0, t_->bytes(), [&](const char* p) {
      const Py_complex c = number(p);
      for (double v : {std::fabs(c.real), std::fabs(c.imag)}) {
        if (!std::isfinite(v)) continue;
        integral_ &= v == std::floor(v);
        high = std::max(high, v);
        if (v != 0) low = std::min(low, v);
      }
    });
    scientific_ =
        high >= 1e8 || (!integral_ && (low < 1e-4 || high > low * 1e6));
    if (options.scientific != PrintOptions::automatic) {
      scientific_ = options.scientific == PrintOptions::always;
    }
  }

  std::string real_text(double v) const {
    if (std::isnan(v)) return "nan";
    if (std::isinf(v)) return v > 0 ? "inf" : "-inf";
    char buffer[384];  // the largest double has 309 digits
    const char* format = scientific_ ? "%.*e" : integral_ ? "%.*f." : "%.*f";
    int digits = integral_ && !scientific_ ? 0 : options.precision;
    std::snprintf(buffer, sizeof buffer, format, digits, v);
    return buffer;
  }

  std::string text(const char* p) const {
    if (is_float(t_.dtype())) return real_text(number(p).real);
    if (is_complex(t_.dtype())) {
      const Py_complex c = number(p);
      std::string imag = real_text(c.imag);
      if (imag[0] != '-') imag = '+' + imag;
      return real_text(c.real) + imag + 'j';
    }
    nb::object o = own(element(p, t_.dtype()));
    return nb::str(o).c_str();
  }

  void append_element(std::string& out, const char* p) const {
    std::string s = text(p);
    out.append(width_ - std::min(width_, s.size()), ' ');
    out += s;
  }

  void append_dim(std::string& out, int dim, const char* p, size_t indent) {
    if (dim == t_.ndim()) return append_element(out, p);
    int64_t n = t_.size(dim);
    int64_t step = t_.strides()[dim] * itemsize(t_.dtype());
    bool last = dim == t_.ndim() - 1;
    // Rows are apart by one line, matrices by an empty one, and so on.
    std::string gap(std::max(t_.ndim() - dim - 1, 0), '\n');
    size_t line = last ? out.size() : 0;
    out += '[';
    ++indent;
    for (int64_t i = 0; i < n; ++i) {
      if (i > 0) {
        out += ',';
        if (!last) {
          out += gap;
          out.append(indent, ' ');
        } else if (out.size() - line + indent + width_ + 2 > options.width) {
          out += '\n';
          line = out.size();
          out.append(indent, ' ');
          line += indent - 1;
        } else {
          out += ' ';
        }
      }
      if (skips(n) && i == options.edge) {
        out += "...,";
        if (last) {
          out += ' ';
        } else {
          out += gap;
          out.append(indent, ' ');
        }
        i = n - options.edge;
      }
      append_dim(out, dim + 1, p + i * step, indent);
    }
    out += ']';
  }

  const Tensor& t_;
  bool summarise_;
  bool integral_ = false, scientific_ = false;
  size_t width_ = 0;
};

}  // namespace

std::string repr(const Tensor& t, bool requires_grad) {
  std::string out = "tensor(";
  if (t.device().is_graph()) {
    out += "<symbolic>";
  } else if (t.numel() == 0) {
    out += "[]";
  } else {
    Tensor host = on_host(t, "repr");
    out += Formatter(host, t.numel() > options.threshold).all(out.size());
  }
  std::string what = concat("shape=", t.shape(), ", dtype=", t.dtype(),
                            ", device=", t.device());
  if (requires_grad) what += ", requires_grad=True";
  size_t newline = out.rfind('\n');
  size_t column = out.size() - (newline == std::string::npos ? 0 : newline);
  bool wraps =
      newline != std::string::npos || column + what.size() > options.width;
  out += wraps ? ",\n       " : ", ";
  return out + what + ")";
}

// --- options

namespace {

// An argument that was given: an int within bounds, or inf for the highest.
bool given(nb::handle o, const char* name, int64_t low, int64_t high,
           int64_t* out) {
  if (o.is_none()) return false;
  Int v;
  if (PyFloat_Check(o.ptr()) && PyFloat_AS_DOUBLE(o.ptr()) == INFINITY) {
    v = high;
  } else if (!int_from(o.ptr(), &v)) {
    type_error("[set_printoptions] ", name, " must be an int, got ",
               Py_TYPE(o.ptr())->tp_name);
  }
  if (v.value < low || v.value > high) {
    fail<ValueError>("[set_printoptions] ", name, " must be in [", low, ", ",
                     high, "], got ", v.value);
  }
  *out = v.value;
  return true;
}

void set_printoptions(nb::handle precision, nb::handle threshold,
                      nb::handle edgeitems, nb::handle linewidth,
                      nb::handle profile, nb::handle sci_mode) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  PrintOptions set = options;
  if (!profile.is_none()) {
    const std::string_view name = nb::cast<const char*>(profile);
    set = {};
    if (name == "short") {
      set.precision = 2;
      set.edge = 2;
    } else if (name == "full") {
      set.threshold = kMost;
    } else if (name != "default") {
      fail<ValueError>("[set_printoptions] profile must be 'default', 'short' "
                       "or 'full', got '",
                       name, "'");
    }
  }
  int64_t v = 0;
  if (given(precision, "precision", 0, 20, &v)) {
    set.precision = static_cast<int>(v);
  }
  if (given(threshold, "threshold", 0, kMost, &v)) set.threshold = v;
  if (given(edgeitems, "edgeitems", 1, kMost / 4, &v)) set.edge = v;
  if (given(linewidth, "linewidth", 1, kMost, &v)) set.width = v;
  if (!sci_mode.is_none()) {
    set.scientific =
        nb::cast<bool>(sci_mode) ? PrintOptions::always : PrintOptions::never;
  }
  options = set;
}

}  // namespace

void bind_repr(nb::module_& m) {
  m.def("set_printoptions", set_printoptions, nb::arg("precision") = nb::none(),
        nb::arg("threshold") = nb::none(), nb::arg("edgeitems") = nb::none(),
        nb::arg("linewidth") = nb::none(), nb::arg("profile") = nb::none(),
        nb::arg("sci_mode") = nb::none(),
        R"(How tensors are printed; what is not given stays as it is.

Args:
    precision: digits behind the point (4).
    threshold: tensors with more elements are summarised (1000); inf: none.
    edgeitems: entries that a summary shows at both ends of a dimension (3).
    linewidth: characters a line (80).
    profile: "default", "short" or "full": sets all of them.
    sci_mode: True or False; a profile returns to choosing by the values.

Raises:
    ValueError: a number is out of range, or there is no such profile.

Example:
    >>> import ferrule as fe
    >>> fe.set_printoptions(precision=2)
    >>> fe.tensor([1 / 3])
    tensor([0.33], shape=(1,), dtype=float32, device=cpu)
    >>> fe.set_printoptions(profile="default")
)");
}

}  // namespace ferrule::python
