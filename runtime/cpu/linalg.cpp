// What the decompositions of matrices share: elements in and out, products.
#include "runtime/cpu/linalg.h"

#include <limits>

#include "runtime/cpu/gemm.h"

namespace ferrule::cpu {
namespace {

template <class T>
struct NarrowOf {
  using type = float;
};
template <>
struct NarrowOf<Complex> {
  using type = std::complex<float>;
};

// Calls run with the elements of `t` from number `first` on.
template <class T, class Run>
auto elements(const TensorImpl& t, int64_t first, const Run& run) {
  if (itemsize(t.dtype) == sizeof(T)) return run(t.ptr<T>() + first);
  return run(t.ptr<typename NarrowOf<T>::type>() + first);
}

}  // namespace

template <class T>
void load(const TensorImpl& t, int64_t first, Rows<T> to, int64_t m, int64_t n,
          double scale) {
  elements<T>(t, first, [&](const auto* x) {
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) to[i][j] = T(x[i * n + j]) * scale;
    }
  });
}

template <class T>
void store(const TensorImpl& t, int64_t first, Strided<T> from, int64_t m,
           int64_t n, double scale) {
  elements<T>(t, first, [&]<class S>(S* x) {
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        const T value = from.at(i, j) * scale;
        x[i * n + j] = static_cast<S>(from.conj ? conjugate(value) : value);
      }
    }
  });
}

template <class T>
double scale_for(const TensorImpl& t, int64_t first, int64_t numel) {
  return elements<T>(t, first, [&](const auto* x) {
    double largest = 0, sum = 0;
    for (int64_t i = 0; i < numel; ++i) {
      const double size = magnitude(T(x[i]));
      largest = std::max(largest, size);
      sum += size * 0;  // NaN, if there is an infinity or a NaN
    }
    if (sum != 0) return std::numeric_limits<double>::quiet_NaN();
    // Near the largest number size_of overflows; such a scale is 2^-1023.
    const int exponent = largest == 0 ? 0 : std::ilogb(largest);
    return std::ldexp(1.0, std::clamp(-exponent, -1000, 1000));
  });
}

double epsilon_of(DType t) {
  return to_real(t) == DType::f64 ? std::numeric_limits<double>::epsilon()
                                  : std::numeric_limits<float>::epsilon();
}

int64_t matrices(const TensorImpl& t) {
  int64_t count = 1;
  for (int d = 0; d + 2 < t.ndim; ++d) count *= t.shape[d];
  return count;
}

int64_t matrix_at(const TensorImpl& t, std::span<const int64_t> batch,
                  int64_t i) {
  int64_t at = 0, step = 1;
  const int lead = static_cast<int>(batch.size()) - (t.ndim - 2);
  for (int d = static_cast<int>(batch.size()) - 1; d >= lead; --d) {
    const int64_t size = t.shape[d - lead];
    if (size != 1) at += i % batch[d] * step;
    step *= size;
    i /= batch[d];
  }
  return at;
}

void report_first(OpCall& c, const int32_t* info, int64_t count,
                  const char* of_one, const char* of_batch) {
  const int32_t* found =
      std::find_if(info, info + count, [](int32_t i) { return i != 0; });
  if (found == info + count) return;
  if (count == 1) return c.report(of_one, *found, 0, ErrorKind::runtime);
  c.report(of_batch, found - info, *found, ErrorKind::runtime);
}

void report_failures(OpCall& c, const int32_t* info, int64_t count) {
  if (std::find(info, info + count, -1) != info + count) {
    return report_first(
        c, info, count,
        "the matrix has elements that are infinite or NaN; find out where they "
        "come from with isfinite(), or in training with detect_anomaly()",
        "matrix {} of the batch has elements that are infinite or NaN; find "
        "out where they come from with isfinite(), or in training with "
        "detect_anomaly()");
  }
  report_first(c, info, count,
               "the iteration did not converge; the matrix is ill-conditioned, "
               "or has too many repeated values",
               "the iteration did not converge for matrix {} of the batch; it "
               "is ill-conditioned, or has too many repeated values");
}

// --- products

namespace {

// Smaller ones are not worth packing.
constexpr int64_t kLeastGemm = 1 << 13;
constexpr int64_t kRowsWork = 1 << 15;

template <class T>
Gemm<double> gemm_of(Rows<T> c, int64_t m, int64_t n, int64_t k, Strided<T> a,
                     Rows<T> b) {
  Gemm<double> g{.m = m, .n = n, .k = k};
  g.a = {a.data, a.row, a.col};
  g.b = {b.data, b.row, 1};
  g.c = c.data;
  g.c_row = c.row;
  g.accumulate = true;
  return g;
}

// A row of C after the other. Conjugated elements of A are copied first.
template <class T>
void add_by_rows(Rows<T> c, int64_t m, int64_t n, int64_t k, Strided<T> a,
                 Rows<T> b) {
  const int64_t row_work = std::max<int64_t>(1, n * k);
  parallel_for(m, kRowsWork / row_work, [&](int64_t i, int64_t end) {
    for (; i < end; ++i) {
      if (!a.conj) {
        add_rows(c[i], n, &a.at(i, 0), a.col, b.data, b.row, k);
        continue;
      }
      T factors[kBlock];
      for (int64_t j = 0; j < k; j += kBlock) {
        const int64_t count = std::min(kBlock, k - j);
        for (int64_t l = 0; l < count; ++l) {
          factors[l] = conjugate(a.at(i, j + l));
        }
        add_rows(c[i], n, factors, 1, b[j], b.row, count);
      }
    }
  });
}

}  // namespace

template <class T>
Products<T>::Products(Arena& arena, int64_t m, int64_t n, int64_t k) {
  const int64_t longest = std::max({m, n, k});
  negated_ = arena.take<T>(longest * kBlock);
  if constexpr (std::is_same_v<T, double>) {
    if (m * n * k < kLeastGemm) return;
    // A as it is, and transposed: of blocks of its columns, and of its rows.
    const Strided<T> rows(nullptr, longest, 1), columns(nullptr, 1, longest);
    const Rows<T> b{nullptr, longest}, c{nullptr, longest};
    for (const Strided<T>& a : {rows, columns}) {
      gemm_bytes_ =
          std::max({gemm_bytes_, gemm_scratch_bytes(gemm_of(c, m, n, k, a, b)),
                    gemm_scratch_bytes(gemm_of(c, kBlock, n, m, a, b))});
    }
    gemm_ = arena.take<char>(gemm_bytes_);
  }
}

template <class T>
void Products<T>::add(Rows<T> c, int64_t m, int64_t n, int64_t k, Strided<T> a,
                      Rows<T> b) const {
  if (m <= 0 || n <= 0 || k <= 0) return;
  if constexpr (std::is_same_v<T, double>) {
    if (m * n * k >= kLeastGemm) {
      const Gemm<double> g = gemm_of(c, m, n, k, a, b);
      // What has other strides than were foreseen may need more.
      if (gemm_scratch_bytes(g) <= gemm_bytes_) return gemm(g, gemm_);
    }
  }
  add_by_rows(c, m, n, k, a, b);
}

template <class T>
void Products<T>::subtract(Rows<T> c, int64_t m, int64_t n, int64_t k,
                           Strided<T> a, Rows<T> b) const {
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < k; ++j) {
      const T value = -a.at(i, j);
      negated_[i * k + j] = a.conj ? conjugate(value) : value;
    }
  }
  add(c, m, n, k, Rows<T>{negated_, k}, b);
}

#define FE_LINALG_FOR(T)                                                    \
  template void load(const TensorImpl&, int64_t, Rows<T>, int64_t, int64_t, \
                     double);                                               \
  template void store(const TensorImpl&, int64_t, Strided<T>, int64_t,      \
                      int64_t, double);                                     \
  template double scale_for<T>(const TensorImpl&, int64_t, int64_t);        \
  template class Products<T>;
FE_LINALG_FOR(double)
FE_LINALG_FOR(Complex)
#undef FE_LINALG_FOR

}  // namespace ferrule::cpu
