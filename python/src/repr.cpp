// Text of a tensor: values, summarised as NumPy does, and what it is.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "binding.h"

namespace ferrule::python {
namespace {

constexpr int64_t kThreshold = 1000;  // larger tensors are summarised
constexpr int64_t kEdge = 3;          // entries shown at both ends
constexpr int kWidth = 80;

// Writes elements, all to the same width.
class Formatter {
 public:
  Formatter(const Tensor& t, bool summarise) : t_(t), summarise_(summarise) {
    if (is_float(t.dtype())) choose_notation();
    each(0, t->bytes(),
         [&](const char* p) { width_ = std::max(width_, text(p).size()); });
  }

  std::string all(size_t indent) {
    std::string out;
    append_dim(out, 0, t_->bytes(), indent);
    return out;
  }

 private:
  bool skips(int64_t n) const { return summarise_ && n > 2 * kEdge; }

  // Visits the elements that are shown.
  template <class Visit>
  void each(int dim, const char* p, const Visit& visit) const {
    if (dim == t_.ndim()) return visit(p);
    int64_t n = t_.size(dim);
    int64_t step = t_.strides()[dim] * itemsize(t_.dtype());
    for (int64_t i = 0; i < n; ++i) {
      if (skips(n) && i == kEdge) i = n - kEdge;
      each(dim + 1, p + i * step, visit);
    }
  }

  double number(const char* p) const {
    nb::object o = own(element(p, t_.dtype()));
    return PyFloat_AsDouble(o.ptr());
  }

  void choose_notation() {
    double low = INFINITY, high = 0;
    integral_ = true;
    each(0, t_->bytes(), [&](const char* p) {
      double v = std::fabs(number(p));
      if (!std::isfinite(v)) return;
      integral_ &= v == std::floor(v);
      high = std::max(high, v);
      if (v != 0) low = std::min(low, v);
    });
    scientific_ =
        high >= 1e8 || (!integral_ && (low < 1e-4 || high > low * 1e6));
  }

  std::string text(const char* p) const {
    char buffer[64];
    if (is_float(t_.dtype())) {
      double v = number(p);
      if (std::isnan(v)) return "nan";
      if (std::isinf(v)) return v > 0 ? "inf" : "-inf";
      const char* format = scientific_ ? "%.4e" : integral_ ? "%.0f." : "%.4f";
      std::snprintf(buffer, sizeof buffer, format, v);
      return buffer;
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
        } else if (out.size() - line + indent + width_ + 2 > kWidth) {
          out += '\n';
          line = out.size();
          out.append(indent, ' ');
          line += indent - 1;
        } else {
          out += ' ';
        }
      }
      if (skips(n) && i == kEdge) {
        out += "...,";
        if (last) {
          out += ' ';
        } else {
          out += gap;
          out.append(indent, ' ');
        }
        i = n - kEdge;
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
    out += Formatter(host, t.numel() > kThreshold).all(out.size());
  }
  std::string what = concat("shape=", t.shape(), ", dtype=", t.dtype(),
                            ", device=", t.device());
  if (requires_grad) what += ", requires_grad=True";
  size_t newline = out.rfind('\n');
  size_t column = out.size() - (newline == std::string::npos ? 0 : newline);
  bool wraps = newline != std::string::npos || column + what.size() > kWidth;
  out += wraps ? ",\n       " : ", ";
  return out + what + ")";
}

}  // namespace ferrule::python
