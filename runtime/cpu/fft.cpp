// The kernels of Fourier transforms along one dimension: of complex numbers,
// and of real ones to and from half of their coefficients.
//
// A unit of work is a group of lines that share a buffer, or one line, or,
// where lines are few and long, part of one.
#include "runtime/cpu/fft.h"

#include <algorithm>
#include <cmath>

#include "ferrule/op.h"
#include "runtime/cpu/fft_line.h"
#include "runtime/cpu/fft_tables.h"
#include "runtime/cpu/slots.h"

namespace ferrule {
namespace cpu {
namespace {

constexpr int64_t kGrain = 1 << 14;     // numbers worth a thread
constexpr int64_t kLongLine = 1 << 14;  // numbers worth several threads
constexpr int64_t kFewLines = 8;
constexpr int64_t kMostChunks = 32;  // of lines, each with scratch of its own

constexpr int64_t align64(int64_t n) { return (n + 63) & ~int64_t{63}; }

enum class Kind { complex, to_half, from_half };

// One call: transforms of length n along a dimension.
class Transform {
 public:
  Transform(const OpCall& c, Kind kind);
  int64_t scratch_bytes() const;
  void run(char* scratch) const;

 private:
  bool even_real() const { return kind_ != Kind::complex && n_ % 2 == 0; }
  bool odd_real() const { return kind_ != Kind::complex && n_ % 2 == 1; }
  int64_t part() const { return itemsize(plan_.dtype); }
  int64_t number() const { return plan_.number_bytes(); }
  FftLines lines(const TensorImpl& t) const;
  FftLines rows(char* data, int64_t numbers) const;
  FftHalves halves() const;
  // Groups of lines that become lanes.
  struct Group {
    int64_t first;
    int lines;
  };
  Slots group_slots() const {
    return {groups(), group_bytes(), kGrain / (n_ * loops_.lanes)};
  }
  int64_t groups() const;
  Group group(int64_t g) const;
  int64_t group_bytes() const;
  void run_group(const Group& g, const char* tables, char* memory) const;

  // Lines that are computed one by one.
  bool in_place_input() const { return in_.dense(); }
  bool in_place_output() const { return out_.dense() && !odd_real(); }
  int unit_lines() const {
    return in_place_input() && in_place_output() ? 1 : loops_.lanes;
  }
  int64_t units() const { return (lines_ + unit_lines() - 1) / unit_lines(); }
  Slots unit_slots() const {
    const int64_t grain = kGrain / (n_ * unit_lines());
    return {units(), unit_bytes(), std::max(grain, units() / kMostChunks)};
  }
  // Of a unit's lines, copied.
  int64_t rows_bytes() const {
    return std::min<int64_t>(unit_lines(), lines_) * (n_ + 2) * number();
  }
  int64_t unit_bytes() const;
  void run_unit(int64_t unit, const char* tables, char* memory) const;
  void copy(const FftLines& from, int64_t first, const FftLines& to,
            int64_t first_to, int lines, double scale, char* buffer) const;
  void take_half(const FftLines& from, int64_t first, int lines,
                 char* buffer) const;
  void mirror_line(const char* from, char* to) const;

  Kind kind_;
  bool inverse_;
  int64_t n_ = 1;  // of the transform: the real numbers where there are such
  int64_t lines_ = 1, inner_ = 1;
  double scale_, pairs_ = 1;
  FftLoops loops_;
  FftPlan plan_;
  FftLines in_, out_;
  bool shared_;  // threads share a line
  FftLine line() const { return {plan_, shared_}; }
};

// --- what is asked for

double scale_of(std::string_view name, int64_t n) {
  const auto size = static_cast<double>(n);
  return name == "1/n"        ? 1 / size
         : name == "1/sqrt n" ? 1 / std::sqrt(size)
                              : 1;
}

Transform::Transform(const OpCall& c, Kind kind) : kind_(kind) {
  const TensorImpl& real = kind == Kind::to_half ? c.in(0) : c.out_impl();
  const int dim = c.dim(1, real.ndim);
  n_ = real.shape[dim];
  for (int d = 0; d < real.ndim; ++d) {
    if (d != dim) lines_ *= real.shape[d];
    if (d > dim) inner_ *= real.shape[d];
  }
  const int at = kind == Kind::from_half ? 3 : 2;
  inverse_ = !c.b(at);
  scale_ = scale_of(c.str(at + 1), n_);
  if (kind != Kind::complex) pairs_ = c.f(at + 2);
  const DType t = to_real(c.out_impl().dtype);
  loops_ = FE_BEST(fft_loops)(t);
  plan_ =
      plan_fft(even_real() ? n_ / 2 : n_, lines_, even_real(), t, loops_.lanes);
  in_ = lines(c.in(0));
  out_ = lines(c.out_impl());
  shared_ = plan_.way != FftWay::lanes && lines_ < kFewLines &&
            plan_.length >= kLongLine;
}

FftLines Transform::lines(const TensorImpl& t) const {
  // Data is not there yet when scratch is measured.
  char* data = t.storage && t.storage->data ? t.bytes() : nullptr;
  if (is_complex(t.dtype)) {
    const int64_t numbers = kind_ == Kind::complex ? n_ : n_ / 2 + 1;
    return {data, numbers, 2 * inner_, 1, 2, inner_, 2 * numbers * inner_};
  }
  if (even_real()) {
    return {data, n_ / 2, 2 * inner_, inner_, 1, inner_, n_ * inner_};
  }
  return {data, n_, inner_, 0, 1, inner_, n_ * inner_};
}

FftLines Transform::rows(char* data, int64_t numbers) const {
  return {data, numbers, 2, 1, 2, 1, 2 * numbers};
}

FftHalves Transform::halves() const {
  return {.m = plan_.n,
          .turns = plan_.halves,
          .to_half = kind_ == Kind::to_half,
          .factor = pairs_,
          .conjugated = (kind_ == Kind::to_half) == inverse_};
}

// --- lines as lanes

int64_t Transform::groups() const {
  const int64_t lanes = loops_.lanes;
  if (inner_ < lanes / 2) return (lines_ + lanes - 1) / lanes;
  return lines_ / inner_ * ((inner_ + lanes - 1) / lanes);
}

// Not across the blocks of neighbours, unless these are few.
Transform::Group Transform::group(int64_t g) const {
  const int64_t lanes = loops_.lanes;
  int64_t first = g * lanes, end = lines_;
  if (inner_ >= lanes / 2) {
    const int64_t of_block = (inner_ + lanes - 1) / lanes;
    const int64_t block = g / of_block * inner_;
    first = block + g % of_block * lanes;
    end = block + inner_;
  }
  return {first, static_cast<int>(std::min(lanes, end - first))};
}

int64_t Transform::group_bytes() const {
  const int64_t one = align64(plan_.buffer_bytes(plan_.n + 1));
  return kind_ == Kind::from_half ? 2 * one : one;
}

void Transform::run_group(const Group& g, const char* tables,
                          char* memory) const {
  const auto* at =
      reinterpret_cast<const int32_t*>(tables + plan_.first.places);
  char* buffer = memory;
  if (even_real() && kind_ == Kind::to_half) {
    loops_.read(in_, g.first, g.lines, at, buffer, false);
    loops_.transform(plan_.first, tables, buffer);
    loops_.halves_of_lanes(halves(), tables, buffer, buffer, nullptr);
    loops_.write(out_, g.first, g.lines, buffer, false, scale_);
  } else if (even_real()) {
    char* half = memory + align64(plan_.buffer_bytes(plan_.n + 1));
    loops_.read(in_, g.first, g.lines, nullptr, half, false);
    loops_.halves_of_lanes(halves(), tables, half, buffer, at);
    loops_.transform(plan_.first, tables, buffer);
    loops_.write(out_, g.first, g.lines, buffer, true, scale_);
  } else {
    const bool swap = kind_ == Kind::from_half || inverse_;
    loops_.read(in_, g.first, g.lines, at, buffer, swap);
    if (kind_ == Kind::from_half) {
      loops_.mirror(buffer, at, n_, pairs_, !inverse_);
    }
    loops_.transform(plan_.first, tables, buffer);
    FftLines to = out_;
    if (kind_ == Kind::to_half) {
      to.count = 1;
      loops_.write(to, g.first, g.lines, buffer, swap, scale_);
      to = out_;
      to.data += to.step * part();
      to.count -= 1;
      buffer += plan_.buffer_bytes(1);
    }
    const double scale = kind_ == Kind::to_half ? scale_ * pairs_ : scale_;
    loops_.write(to, g.first, g.lines, buffer, swap, scale);
  }
}

// --- line by line

// A few numbers of several lines at a time, through a buffer.
void Transform::copy(const FftLines& from, int64_t first, const FftLines& to,
                     int64_t first_to, int lines, double scale,
                     char* buffer) const {
  const int64_t at_once = loops_.lanes;
  for (int64_t k = 0; k < to.count; k += at_once) {
    FftLines x = from, y = to;
    x.count = y.count = std::min(at_once, to.count - k);
    x.data += k * x.step * part();
    y.data += k * y.step * part();
    loops_.read(x, first, lines, nullptr, buffer, false);
    loops_.write(y, first_to, lines, buffer, false, scale);
  }
}

// Of all coefficients of an odd real transform those that are asked for.
void Transform::take_half(const FftLines& from, int64_t first, int lines,
                          char* buffer) const {
  FftLines x = from, y = out_;
  y.count = 1;
  copy(x, 0, y, first, lines, 1, buffer);
  x.data += x.step * part();
  y.data += y.step * part();
  y.count = out_.count - 1;
  copy(x, 0, y, first, lines, pairs_, buffer);
}

// All coefficients of an odd real transform, from the first half.
template <class T>
void mirror_numbers(const T* x, T* z, int64_t n, T factor, T sign) {
  z[0] = x[0];
  z[1] = 0;
  for (int64_t k = 1; k <= n / 2; ++k) {
    const T re = factor * x[2 * k], im = sign * factor * x[2 * k + 1];
    z[2 * k] = z[2 * (n - k)] = re;
    z[2 * k + 1] = im;
    z[2 * (n - k) + 1] = -im;
  }
}

void Transform::mirror_line(const char* from, char* to) const {
  const double sign = inverse_ ? 1 : -1;
  const auto run = [&]<class T>(T) {
    mirror_numbers(reinterpret_cast<const T*>(from), reinterpret_cast<T*>(to),
                   n_, static_cast<T>(pairs_), static_cast<T>(sign));
  };
  plan_.dtype == DType::f64 ? run(double()) : run(float());
}

int64_t Transform::unit_bytes() const {
  Pieces count(nullptr);
  line().work(&count);
  if (unit_lines() > 1) {
    count.take(plan_.buffer_bytes(loops_.lanes));
    for (int i = 0; i < 2; ++i) count.take(rows_bytes());
  }
  if (kind_ == Kind::from_half) count.take(plan_.n * number());
  return count.used();
}

void Transform::run_unit(int64_t unit, const char* tables, char* memory) const {
  const int64_t first = unit * unit_lines();
  const int n =
      static_cast<int>(std::min<int64_t>(unit_lines(), lines_ - first));
  Pieces pieces(memory);
  const FftLine whole = line();
  const FftLine::Work w = whole.work(&pieces);
  char *buffer = nullptr, *memory_in = nullptr, *memory_out = nullptr;
  if (unit_lines() > 1) {
    buffer = pieces.take(plan_.buffer_bytes(loops_.lanes));
    memory_in = pieces.take(rows_bytes());
    memory_out = pieces.take(rows_bytes());
  }
  char* z =
      kind_ == Kind::from_half ? pieces.take(plan_.n * number()) : nullptr;

  // The lines as rows: where they lie, or copied.
  FftLines from = in_, to = out_;
  if (in_place_input()) {
    from.data += first * from.block * part();
  } else {
    from = rows(memory_in, in_.count);
    copy(in_, first, from, 0, n, 1, buffer);
  }
  if (in_place_output()) {
    to.data += first * to.block * part();
  } else {
    to = rows(memory_out, odd_real() ? n_ : out_.count);
  }
  const bool swap = kind_ == Kind::from_half || (inverse_ && !even_real());
  for (int l = 0; l < n; ++l) {
    const char* x = from.data + l * from.block * part();
    char* y = to.data + l * to.block * part();
    if (kind_ == Kind::from_half) {
      even_real() ? loops_.halves_of_line(halves(), tables, x, z)
                  : mirror_line(x, z);
      x = z;
    }
    whole.run(x, y, tables, w, swap, scale_);
    if (even_real() && kind_ == Kind::to_half) {
      loops_.halves_of_line(halves(), tables, y, y);
    }
  }
  if (in_place_output()) return;
  if (odd_real() && kind_ == Kind::to_half) {
    take_half(to, first, n, buffer);
  } else {
    copy(to, 0, out_, first, n, 1, buffer);
  }
}

// --- all of it

int64_t Transform::scratch_bytes() const {
  const int64_t own = plan_.way == FftWay::lanes ? group_slots().total()
                      : shared_                  ? unit_bytes()
                                                 : unit_slots().total();
  return align64(plan_.bytes) + std::max(own, line().fill_bytes());
}

void Transform::run(char* scratch) const {
  char* rest = scratch + align64(plan_.bytes);
  const FftTables tables(plan_, scratch,
                         [&](char* fresh) { line().fill(fresh, rest); });
  const char* at = tables.get();
  if (plan_.way == FftWay::lanes) {
    group_slots().each_unit(
        rest, [&](int64_t g, char* own) { run_group(group(g), at, own); });
  } else if (shared_) {
    for (int64_t u = 0; u < units(); ++u) run_unit(u, at, rest);
  } else {
    unit_slots().each_unit(rest,
                           [&](int64_t u, char* own) { run_unit(u, at, own); });
  }
}

template <Kind kind>
void run(OpCall& c) {
  Transform(c, kind).run(static_cast<char*>(c.scratch));
}

template <Kind kind>
int64_t scratch(const OpCall& c) {
  return c.out_impl().numel == 0 ? 0 : Transform(c, kind).scratch_bytes();
}

}  // namespace
}  // namespace cpu

extern const KernelDef fft_c2c_cpu = {
    .name = "fft_c2c",
    .run = cpu::run<cpu::Kind::complex>,
    .scratch = cpu::scratch<cpu::Kind::complex>,
};

extern const KernelDef fft_r2c_cpu = {
    .name = "fft_r2c",
    .run = cpu::run<cpu::Kind::to_half>,
    .scratch = cpu::scratch<cpu::Kind::to_half>,
};

extern const KernelDef fft_c2r_cpu = {
    .name = "fft_c2r",
    .run = cpu::run<cpu::Kind::from_half>,
    .scratch = cpu::scratch<cpu::Kind::from_half>,
};

}  // namespace ferrule
