// Kernel of the QR decomposition.
#include "runtime/cpu/linalg_reflectors.h"

namespace ferrule {
namespace cpu {
namespace {

struct Shape {
  int64_t m, n;  // of A
  int64_t q;     // columns of Q, 0 if it is not wanted
  int64_t r;     // rows of R

  explicit Shape(const OpCall& c)
      : m(c.in(0).shape[c.in(0).ndim - 2]), n(c.in(0).shape[c.in(0).ndim - 1]) {
    const bool complete = c.str(1) == "complete";
    r = complete ? m : std::min(m, n);
    q = c.str(1) == "r" ? 0 : r;
  }
};

template <class T>
struct Qr {
  Qr(Arena& arena, const Shape& s)
      : a(arena.matrix<T>(s.m, s.n)),
        q(arena.matrix<T>(s.m, s.q)),
        taus(arena.take<T>(std::min(s.m, s.n))),
        products(arena, s.m, std::max(s.n, s.q), kBlock),
        reflectors(arena, s.m, std::max(s.n, s.q), products) {}
  Rows<T> a, q;
  T* taus;
  Products<T> products;
  Reflectors<T> reflectors;
};

Batch batch_of(const OpCall& c) {
  const Shape s(c);
  const int64_t bytes = by_number(c.in(0), [&]<class T>(T) {
    Arena arena;
    Qr<T>(arena, s);
    return arena.used();
  });
  return Batch(matrices(c.in(0)), bytes,
               2 * s.m * std::min(s.m, s.n) * std::max(s.n, s.q));
}

void qr(OpCall& c) {
  const TensorImpl& t = c.in(0);
  const Shape s(c);
  by_number(t, [&]<class T>(T) {
    batch_of(c).each(c.scratch, [&](int64_t i, Arena& arena) {
      const Qr<T> work(arena, s);
      double scale = scale_for<T>(t, i * s.m * s.n, s.m * s.n);
      if (std::isnan(scale)) scale = 1;
      load(t, i * s.m * s.n, work.a, s.m, s.n, scale);
      qr_factor(work.a, s.m, s.n, work.taus, work.reflectors);
      if (s.q > 0) {
        work.reflectors.form(work.a, work.taus, s.m, std::min(s.m, s.n), work.q,
                             s.q);
        store<T>(c.out_impl(0), i * s.m * s.q, work.q, s.m, s.q);
      }
      for (int64_t row = 1; row < s.r; ++row) {
        std::fill_n(work.a[row], std::min(row, s.n), T(0));
      }
      store<T>(c.out_impl(1), i * s.r * s.n, work.a, s.r, s.n, 1 / scale);
    });
  });
}

}  // namespace
}  // namespace cpu

extern const KernelDef linalg_qr_cpu = {
    .name = "linalg_qr",
    .run = cpu::qr,
    .scratch = [](const OpCall& c) { return cpu::batch_of(c).total(); },
};

}  // namespace ferrule
