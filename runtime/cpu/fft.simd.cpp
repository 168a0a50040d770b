// The loops of Fourier transforms, in vectors.
#include "runtime/cpu/fft.h"

#include "runtime/cpu/arithmetic.h"
#include "runtime/cpu/fft_butterfly.h"
#include "runtime/cpu/fft_complex.h"

namespace ferrule::cpu::FE_ISA {
namespace {

template <class T>
const T* table(const char* tables, int64_t offset) {
  return reinterpret_cast<const T*>(tables + offset);
}

// --- passes over a buffer

constexpr int kAnyOdd = kMaxRadix;

// Calls f(q) for the numbers of a butterfly but the first.
template <int radix, class F>
FE_INLINE void each_of(int r, F f) {
  if constexpr (radix < kAnyOdd) {
#pragma GCC unroll 8
    for (int q = 1; q < radix; ++q) f(q);
  } else {
    for (int q = 1; q < r; ++q) f(q);
  }
}

// The numbers of a butterfly are s apart; `turns` has r - 1 powers for each of
// s butterflies side by side, or is null where all are 1.
template <class T, int radix>
void pass(T* buffer, int64_t n, int r, int64_t s, const T* turns,
          const T* roots) {
  for (int64_t first = 0; first < n; first += r * s) {
    const T* turn = turns;
    for (int64_t k = first; k < first + s; ++k) {
      Complex<T> z[radix];
      z[0] = get(buffer, k);
      if (turns) {
        each_of<radix>(r, [&](int q) {
          z[q] = get(buffer, k + q * s) * splat_number(turn + 2 * (q - 1));
        });
        turn += 2 * (r - 1);
      } else {
        each_of<radix>(r, [&](int q) { z[q] = get(buffer, k + q * s); });
      }
      if constexpr (radix == 2) {
        butterfly_2(z[0], z[1]);
      } else if constexpr (radix == 4) {
        butterfly_4(z[0], z[1], z[2], z[3]);
      } else if constexpr (radix == 8) {
        butterfly_8(z);
      } else if constexpr (radix < kAnyOdd) {
        butterfly_odd<radix>(z, roots);
      } else {
        butterfly_any(z, r, roots);
      }
      put(buffer, k, z[0]);
      each_of<radix>(r, [&](int q) { put(buffer, k + q * s, z[q]); });
    }
  }
}

template <class T>
void transform(const LaneFft& plan, const char* tables, void* memory) {
  auto* buffer = static_cast<T*>(memory);
  const T* at = table<T>(tables, plan.turns);
  int64_t s = 1;
  for (int p = 0; p < plan.passes; ++p) {
    const int r = plan.radix[p];
    const T* roots = at;
    if (r % 2 == 1) at += 2 * r;
    const T* turns = s > 1 ? at : nullptr;
    const auto run = r == 2   ? pass<T, 2>
                     : r == 3 ? pass<T, 3>
                     : r == 4 ? pass<T, 4>
                     : r == 5 ? pass<T, 5>
                     : r == 7 ? pass<T, 7>
                     : r == 8 ? pass<T, 8>
                              : pass<T, kAnyOdd>;
    run(buffer, plan.n, r, s, turns, roots);
    if (turns) at += 2 * s * (r - 1);
    s *= r;
  }
}

// --- between memory and buffers

// Calls f(i) for i < n, at most `most` times; unrolled, so that vectors stay in
// registers.
template <int most, class F>
FE_INLINE void each(int64_t n, F f) {
#pragma GCC unroll 16
  for (int i = 0; i < most; ++i) {
    if (i >= n) return;
    f(i);
  }
}

// How lines [first, first + n) lie.
enum class Look { rows, columns, scattered };

Look look_of(const FftLines& x, int64_t first, int n) {
  if (x.inner == 1) return Look::rows;
  const bool one_block = first % x.inner + n <= x.inner;
  return one_block ? Look::columns : Look::scattered;
}

template <class T>
T* line_at(const FftLines& x, int64_t line) {
  return reinterpret_cast<T*>(x.data) + line / x.inner * x.block +
         line % x.inner * x.lane;
}

// n lanes of one number, which are neighbours.
template <class T>
FE_INLINE Complex<T> load_column(const FftLines& x, const T* at, int64_t n) {
  if (x.lane == 2) return load_numbers(at, n);
  return {load(at, n), x.imag ? load(at + x.imag, n) : Vec<T>{}};
}
template <class T>
FE_INLINE void store_column(const FftLines& x, T* at, Complex<T> z, int64_t n) {
  if (x.lane == 2) return store_numbers(at, z, n);
  store(at, z.re, n);
  if (x.imag) store(at + x.imag, z.im, n);
}

// What `read` does with number k.
template <class T>
struct Reader {
  T* buffer;
  const int32_t* places;
  bool swap;
  FE_INLINE void operator()(int64_t k, Complex<T> z) const {
    put(buffer, places ? places[k] : k, swapped(z, swap));
  }
};

// Rows of numbers, half as many at a time as there are lanes, or of real ones.
template <class T>
void read_rows(const FftLines& from, const T* const* line,
               const Reader<T>& take) {
  constexpr int kLanes = lanes<T>, kHalf = kLanes / 2;
  for (int64_t k = 0; from.imag && k < from.count; k += kHalf) {
    const int64_t left = from.count - k;
    Vec<T> low[kHalf], high[kHalf];
#pragma GCC unroll 8
    for (int l = 0; l < kHalf; ++l) {
      low[l] = load(line[l] + 2 * k, 2 * left);
      high[l] = load(line[l + kHalf] + 2 * k, 2 * left);
    }
    transpose<2>(low);
    transpose<2>(high);
    each<kHalf>(left, [&](int i) { take(k + i, apart<T>(low[i], high[i])); });
  }
  for (int64_t k = 0; !from.imag && k < from.count; k += kLanes) {
    const int64_t left = from.count - k;
    Vec<T> re[kLanes];
#pragma GCC unroll 16
    for (int l = 0; l < kLanes; ++l) re[l] = load(line[l] + k, left);
    transpose<1>(re);
    each<kLanes>(left,
                 [&](int i) { take(k + i, Complex<T>{re[i], Vec<T>{}}); });
  }
}

template <class T>
void read_lines(const FftLines& from, int64_t first, int n,
                const int32_t* places, void* memory, bool swap) {
  constexpr int kLanes = lanes<T>;
  const Reader<T> take{static_cast<T*>(memory), places, swap};
  const Look look = look_of(from, first, n);
  if (look == Look::columns) {
    const T* x = line_at<T>(from, first);
    for (int64_t k = 0; k < from.count; ++k, x += from.step) {
      take(k, load_column(from, x, n));
    }
    return;
  }
  const T* line[kLanes];  // lanes without a line repeat the last
  for (int l = 0; l < kLanes; ++l) {
    line[l] = line_at<T>(from, first + (l < n ? l : n - 1));
  }
  if (look == Look::rows) return read_rows(from, line, take);
  for (int64_t k = 0; k < from.count; ++k) {
    T parts[2 * kLanes];
    for (int l = 0; l < kLanes; ++l) {
      const T* x = line[l] + k * from.step;
      parts[l] = x[0];
      parts[kLanes + l] = from.imag ? x[from.imag] : T(0);
    }
    take(k, get(parts, 0));
  }
}

// Number k as `write` wants it.
template <class T>
struct Source {
  const T* buffer;
  bool swap;
  T scale;
  FE_INLINE Complex<T> operator()(int64_t k) const {
    return scaled(swapped(get(buffer, k), swap), scale);
  }
};

template <class T>
void write_rows(const FftLines& to, T* const* line, int n,
                const Source<T>& number) {
  constexpr int kLanes = lanes<T>, kHalf = kLanes / 2;
  for (int64_t k = 0; to.imag && k < to.count; k += kHalf) {
    const int64_t left = to.count - k;
    Vec<T> low[kHalf], high[kHalf];
#pragma GCC unroll 8
    for (int i = 0; i < kHalf; ++i) {
      together(number(i < left ? k + i : k), low[i], high[i]);
    }
    transpose<2>(low);
    transpose<2>(high);
    each<kHalf>(n, [&](int l) { store(line[l] + 2 * k, low[l], 2 * left); });
    each<kHalf>(n - kHalf, [&](int l) {
      store(line[l + kHalf] + 2 * k, high[l], 2 * left);
    });
  }
  for (int64_t k = 0; !to.imag && k < to.count; k += kLanes) {
    const int64_t left = to.count - k;
    Vec<T> re[kLanes];
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) re[i] = number(i < left ? k + i : k).re;
    transpose<1>(re);
    each<kLanes>(n, [&](int l) { store(line[l] + k, re[l], left); });
  }
}

template <class T>
void write_lines(const FftLines& to, int64_t first, int n, const void* memory,
                 bool swap, double scale) {
  constexpr int kLanes = lanes<T>;
  const Source<T> number{static_cast<const T*>(memory), swap,
                         static_cast<T>(scale)};
  const Look look = look_of(to, first, n);
  if (look == Look::columns) {
    T* x = line_at<T>(to, first);
    for (int64_t k = 0; k < to.count; ++k, x += to.step) {
      store_column(to, x, number(k), n);
    }
    return;
  }
  T* line[kLanes];
  for (int l = 0; l < n; ++l) line[l] = line_at<T>(to, first + l);
  if (look == Look::rows) return write_rows(to, line, n, number);
  for (int64_t k = 0; k < to.count; ++k) {
    T parts[2 * kLanes];
    put(parts, 0, number(k));
    for (int l = 0; l < n; ++l) {
      T* x = line[l] + k * to.step;
      x[0] = parts[l];
      if (to.imag) x[to.imag] = parts[kLanes + l];
    }
  }
}

template <class T>
void turn(const FftPlan& plan, const char* tables, const void* rows,
          int64_t first, void* memory) {
  constexpr int kLanes = lanes<T>;
  auto* buffer = static_cast<T*>(memory);
  const auto* block = static_cast<const T*>(rows);
  const int64_t n1 = plan.first.n, n2 = plan.second.n;
  const T* of_lanes = table<T>(tables, plan.lane_turns);
  const T* of_blocks = table<T>(tables, plan.block_turns);
  const auto* places =
      reinterpret_cast<const int32_t*>(tables + plan.second.places);
  for (int64_t k = 0; k < n2; k += kLanes) {
    Vec<T> re[kLanes], im[kLanes];
#pragma GCC unroll 16
    for (int l = 0; l < kLanes; ++l) {
      const int64_t row = first + l < n1 ? first + l : n1 - 1;
      Complex<T> by = get(of_lanes, row);
      if (k > 0) by = by * splat_number(of_blocks + 2 * row);
      const Complex<T> z = get(block, row) * by;
      re[l] = z.re;
      im[l] = z.im;
    }
    transpose<1>(re);
    transpose<1>(im);
    each<kLanes>(n2 - k, [&](int i) {
      put(buffer, places[k + i], Complex<T>{re[i], im[i]});
    });
    block += n1 * 2 * kLanes;
    of_blocks += 2 * n1;
  }
}

// --- real transforms

// From z to x: E = (z[k] + conj z[m-k]) / 2, D = (z[k] - conj z[m-k]) / 2 and
// x[k] = E - i w D, x[m-k] = conj(E + i w D) with w = exp(-2 pi i k / 2m). From
// x to z the same with +i conj(w), without the halves.
template <class T>
FE_INLINE void halves(const FftHalves& h, Vec<T> c, Vec<T> s, Complex<T>* a,
                      Complex<T>* b) {
  const T before = static_cast<T>(h.to_half ? h.factor / 2 : h.factor);
  const bool conjugate_in = h.conjugated && !h.to_half;
  const bool conjugate_out = h.conjugated && h.to_half;
  const Complex<T> x = scaled(conjugate_in ? conj(*a) : *a, before);
  const Complex<T> y = scaled(conjugate_in ? *b : conj(*b), before);
  const Complex<T> even = x + y;
  const Complex<T> turned = (x - y) * Complex<T>{-s, h.to_half ? -c : c};
  *a = even + turned;
  *b = conj(even - turned);
  if (conjugate_out) {
    *a = conj(*a);
    *b = conj(*b);
  }
}

// x[0] and x[m] are real and belong to z[0]. Of one line.
template <class T>
void ends(const FftHalves& h, const T* from, T* to) {
  const int64_t last = 2 * h.m;
  if (h.to_half) {
    const T re = from[0], im = from[1];
    to[0] = re + im;
    to[last] = re - im;
    to[1] = to[last + 1] = 0;
  } else {
    const T x = from[0], y = from[last];
    to[0] = x + y;
    to[1] = x - y;
  }
}

template <class T>
void halves_of_lanes(const FftHalves& h, const char* tables, const void* from,
                     void* to, const int32_t* places) {
  constexpr int kLanes = lanes<T>;
  const auto* x = static_cast<const T*>(from);
  auto* result = static_cast<T*>(to);
  const T* c = table<T>(tables, h.turns);
  const T* s = c + h.m / 2 + 1;
  const auto place = [places](int64_t k) { return places ? places[k] : k; };
  const bool swap = places != nullptr;
  for (int64_t k = 1; k <= h.m / 2; ++k) {
    Complex<T> a = get(x, k), b = get(x, h.m - k);
    halves<T>(h, splat(c[k]), splat(s[k]), &a, &b);
    put(result, place(k), swapped(a, swap));
    put(result, place(h.m - k), swapped(b, swap));
  }
  const Complex<T> first = get(x, 0);
  if (h.to_half) {
    put(result, 0, Complex<T>{first.re + first.im, {}});
    put(result, h.m, Complex<T>{first.re - first.im, {}});
  } else {
    const Vec<T> last = load(x + h.m * 2 * kLanes);
    put(result, place(0),
        swapped(Complex<T>{first.re + last, first.re - last}, swap));
  }
}

template <class T>
void halves_of_line(const FftHalves& h, const char* tables, const void* from,
                    void* to) {
  constexpr int kLanes = lanes<T>;
  const auto* x = static_cast<const T*>(from);
  auto* result = static_cast<T*>(to);
  const T* c = table<T>(tables, h.turns);
  const T* s = c + h.m / 2 + 1;
  ends(h, x, result);
  const auto backwards = [](Complex<T> z) {
    return Complex<T>{reversed(z.re), reversed(z.im)};
  };
  int64_t k = 1;
  // Numbers from both ends, up to the middle, which both may reach.
  for (; k + kLanes <= h.m / 2 + 1; k += kLanes) {
    const int64_t mirrored = h.m - k - kLanes + 1;
    Complex<T> a = load_numbers(x + 2 * k, kLanes);
    Complex<T> b = backwards(load_numbers(x + 2 * mirrored, kLanes));
    halves<T>(h, load(c + k), load(s + k), &a, &b);
    store_numbers(result + 2 * mirrored, backwards(b), kLanes);
    store_numbers(result + 2 * k, a, kLanes);
  }
  const int64_t left = h.m / 2 + 1 - k;
  if (left <= 0) return;
  T low[2 * kLanes] = {}, high[2 * kLanes] = {};
  for (int64_t i = 0; i < 2 * left; ++i) {
    low[i] = x[2 * k + i];
    high[i] = x[2 * (h.m - k - i / 2) + i % 2];
  }
  Complex<T> a = load_numbers(low, kLanes), b = load_numbers(high, kLanes);
  halves<T>(h, load(c + k, left), load(s + k, left), &a, &b);
  store_numbers(low, a, kLanes);
  store_numbers(high, b, kLanes);
  for (int64_t i = 0; i < 2 * left; ++i) {
    result[2 * (h.m - k - i / 2) + i % 2] = high[i];
  }
  for (int64_t i = 0; i < 2 * left; ++i) result[2 * k + i] = low[i];
}

template <class T>
void mirror(void* memory, const int32_t* places, int64_t n, double factor,
            bool conjugated) {
  auto* buffer = static_cast<T*>(memory);
  const T by = static_cast<T>(factor);
  put(buffer, 0, Complex<T>{{}, get(buffer, 0).im});
  for (int64_t k = 1; k <= n / 2; ++k) {
    const Complex<T> z = scaled(get(buffer, places[k]), by);
    const Complex<T> other = {-z.re, z.im};  // swapped parts
    put(buffer, places[k], conjugated ? other : z);
    put(buffer, places[n - k], conjugated ? z : other);
  }
}

template <class T>
void multiply(void* to, const void* a, const void* b, int64_t n, double scale,
              bool swap_a, bool swap_result) {
  auto* result = static_cast<T*>(to);
  const auto *x = static_cast<const T*>(a), *y = static_cast<const T*>(b);
  const T by = static_cast<T>(scale);
  for (int64_t k = 0; k < n; k += lanes<T>) {
    const Complex<T> p = swapped(load_numbers(x + 2 * k, n - k), swap_a);
    const Complex<T> q = load_numbers(y + 2 * k, n - k);
    store_numbers(result + 2 * k, swapped(scaled(p * q, by), swap_result),
                  n - k);
  }
}

template <class T>
constexpr FftLoops loops() {
  return {lanes<T>,          read_lines<T>, write_lines<T>,
          transform<T>,      turn<T>,       halves_of_lanes<T>,
          halves_of_line<T>, mirror<T>,     multiply<T>};
}

}  // namespace

FftLoops fft_loops(DType t) {
  return by_float(t, []<class T>(T) { return loops<T>(); });
}

}  // namespace ferrule::cpu::FE_ISA
