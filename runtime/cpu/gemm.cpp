// Matrix products: the plan, scratch memory, splits along k, batches.
#include "runtime/cpu/gemm.h"

#include <algorithm>
#include <type_traits>

#include "runtime/core/thread_pool.h"
#include "runtime/cpu/finish_rows.h"
#include "runtime/cpu/gemm_plan.h"
#include "runtime/cpu/slots.h"

namespace ferrule::cpu {
namespace {

// Up to so many rows of A, dot products with columns of B that are dense cost
// less than packing anything, if they are long enough to outweigh their last
// sums.
constexpr int64_t kDotRows = 16;
constexpr int64_t kDotDepth = 24;  // for each row
// Up to so many rows B streams by.
constexpr int64_t kStreamRows = 4;
// Up to so many rows, B is read too few times to be packed.
constexpr int64_t kDirectRows = 28;
// Up to so many rows, each panel of B is used up before the next is packed.
constexpr int64_t kNarrowRows = 64;
// Up to so many rows, A is rather packed than B.
constexpr int64_t kSwapRows = 96;
// What the first-level cache holds beside other things.
constexpr int64_t kNearBytes = 32 << 10;

// Multiply-adds of one product from which it is split rather than the batch.
constexpr int64_t kSplitWork = 1 << 22;
constexpr int64_t kBatchWork = 1 << 18;
// Parts of a batch that may run at a time, each with scratch of its own.
constexpr int64_t kBatchParts = 64;

// Multiply-adds that are worth a visit to another thread.
constexpr int64_t kStripWork = 1 << 20;
// How many strips of columns, of strips in all, and of strips without which
// they may be short. Chunks of them have scratch of their own.
constexpr int64_t kStripsAcross = 8;
constexpr int64_t kStrips = 16;
constexpr int64_t kFewStrips = 4;
// Rows of a strip, in general and of short ones.
constexpr int64_t kStripRows = 256;
constexpr int64_t kLeastRows = 64;

// A product of at most so many rows and columns has too few parts but along k.
constexpr int64_t kFewRows = 128;
constexpr int64_t kDepthPartWork = 1 << 20;  // multiply-adds of such a part
constexpr int64_t kDepthPart = 512;          // its depth, at least
constexpr int64_t kDepthParts = 16;

// Rows or columns at this distance share sets of the first-level cache, so that
// half a panel of them does not stay there.
bool collides(int64_t stride, int64_t itemsize) {
  return stride * itemsize % 2048 == 0;
}
// So many rows do stay, unless all of them share one set.
constexpr int64_t kSharingRows = 8;
bool rows_collide(int64_t rows, int64_t stride, int64_t itemsize) {
  return rows > kSharingRows && stride * itemsize % 4096 == 0;
}

template <class T, class S>
Gemm<T, S> upright(const Gemm<T, S>& g) {
  if (g.n != 1 || g.m == 1 || g.c_row != 1 || g.b_packed != nullptr) return g;
  Gemm<T, S> t = transposed(g);
  t.c_row = g.m;
  return t;
}

int64_t batch_grain(int64_t work, int64_t batch) {
  return std::max((batch + kBatchParts - 1) / kBatchParts,
                  kBatchWork / std::max<int64_t>(work, 1));
}

void compute(const Gemm<float>& g, void* scratch) {
  FE_BEST(gemm_f32)(g, scratch);
}
void compute(const Gemm<double>& g, void* scratch) {
  FE_BEST(gemm_f64)(g, scratch);
}
void compute(const Gemm<float, BFloat16>& g, void* scratch) {
  FE_BEST_DOT(gemm_bf16)(g, scratch);
}
void compute(const Gemm<float, Float16>& g, void* scratch) {
  FE_BEST(gemm_f16)(g, scratch);
}
void compute(const Gemm<int32_t, int8_t>& g, void* scratch) {
  FE_BEST_DOT(gemm_i8)(g, scratch);
}

// What follows on the whole result, where no tiles did it.
template <class T, class S>
void finish(const Gemm<T, S>& g) {
  if constexpr (std::is_same_v<S, float>) {
    if (g.epilogue == nullptr) return;
    constexpr int64_t kCols = 1024;
    const int64_t across = ceil_div(g.n, kCols);
    parallel_for(g.m * across, 4, [&](int64_t i, int64_t end) {
      for (; i < end; ++i) {
        const int64_t col = i % across * kCols;
        FE_BEST(finish_rows)
        (*g.epilogue, g.column + col, 1, g.c + i / across * g.c_row + col, 0,
         std::min(kCols, g.n - col));
      }
    });
  }
}

// Elements in a word.
template <class S>
int64_t word_elements() {
  if constexpr (std::is_same_v<S, BFloat16>) return FE_BEST_DOT(word_bf16)();
  if constexpr (std::is_same_v<S, int8_t>) return FE_BEST_DOT(word_i8)();
  return 1;
}

// Scratch of compute().
template <class T, class S>
int64_t packed_bytes(const Gemm<T, S>& g) {
  const GemmPlan plan = plan_gemm(g);
  return round_up(
      (plan.a_elements + plan.b_elements) * static_cast<int64_t>(sizeof(T)),
      64);
}

// A product with much work is cut into strips of columns, and of rows where
// strips are few: products of their own, which share nothing that is packed, so
// that a thread finds what it reads in its own cache. (Half of each block of B
// packed by another thread cost two threads up to a seventh of their time.)
template <class T, class S>
struct Strips {
  int64_t rows, cols;  // of a strip
  int64_t across = 1;
  int64_t down = 1;

  explicit Strips(const Gemm<T, S>& g) : rows(g.m), cols(g.n) {
    if (g.m * g.n * g.k < 2 * kStripWork || g.b_packed != nullptr) return;
    const GemmPlan plan = plan_gemm(g);
    if (plan.way != GemmWay::tiles) return;
    // Panels of A that are packed are packed for each strip, as is B for each
    // strip of rows.
    constexpr int64_t kWidest = 8;
    const int64_t width =
        plan.pack_a
            ? kWidest
            : std::min(kWidest, ceil_div(g.n, kStripsAcross * kMaxTileCols));
    cols = std::min(g.n, kMaxTileCols * width);
    across = ceil_div(g.n, cols);
    down =
        std::clamp<int64_t>(g.m * static_cast<int64_t>(sizeof(S)) /
                                (kStripRows * static_cast<int64_t>(sizeof(T))),
                            1, std::max<int64_t>(1, kStrips / across));
    if (across * down < kFewStrips) {
      down = std::clamp<int64_t>(g.m / kLeastRows, 1, kFewStrips / across);
    }
    if (across * down < kFewStrips) {
      cols = round_up(ceil_div(g.n, kFewStrips), kMaxTileCols);
      across = ceil_div(g.n, cols);
    }
    rows = ceil_div(g.m, down);
    down = ceil_div(g.m, rows);
  }

  int64_t count() const { return across * down; }

  Gemm<T, S> strip(const Gemm<T, S>& g, int64_t i) const {
    const int64_t row = i % down * rows;
    const int64_t col = i / down * cols;
    Gemm<T, S> s = g;
    s.m = std::min(rows, g.m - row);
    s.n = std::min(cols, g.n - col);
    s.a.data += row * g.a.row;
    s.b.data += col * g.b.col;
    s.c += row * g.c_row + col;
    s.column += col;
    if (g.col_bias != nullptr) s.col_bias += col;
    if (g.row_bias != nullptr) s.row_bias += row;
    return s;
  }

  // For strips of all sizes that occur.
  Slots slots(const Gemm<T, S>& g) const {
    int64_t bytes = 0;
    for (int64_t m : {rows, g.m - (down - 1) * rows}) {
      for (int64_t n : {cols, g.n - (across - 1) * cols}) {
        Gemm<T, S> s = g;
        s.m = m;
        s.n = n;
        bytes = std::max(bytes, packed_bytes(s));
      }
    }
    return Slots(
        count(), bytes,
        std::max(ceil_div(count(), kStrips), kStripWork / (rows * cols * g.k)));
  }
};

template <class T, class S>
int64_t run_bytes(const Gemm<T, S>& g) {
  const Gemm<T, S> u = upright(g);
  const Strips<T, S> strips(u);
  return strips.count() == 1 ? packed_bytes(u) : strips.slots(u).total();
}

template <class T, class S>
void run(const Gemm<T, S>& g, void* scratch) {
  const Gemm<T, S> u = upright(g);
  const Strips<T, S> strips(u);
  if (strips.count() == 1) {
    compute(u, scratch);
    if (u.epilogue == nullptr) return;
    const GemmWay way = plan_gemm(u).way;
    if (way == GemmWay::dot || way == GemmWay::stream) finish(u);
    return;
  }
  strips.slots(u).each_unit(
      static_cast<char*>(scratch),
      [&](int64_t i, void* own) { compute(strips.strip(u, i), own); });
}

// Parts along k, each summed apart: a product with a small result and a long
// sum has no other work for a second thread.
template <class T, class S>
struct DepthParts {
  int64_t count = 1;
  int64_t depth;
  int64_t sums_bytes = 0;
  int64_t part_bytes;

  static bool small(const Gemm<T, S>& g) {
    return g.m <= kFewRows && g.n <= kFewRows;
  }

  explicit DepthParts(const Gemm<T, S>& g) : depth(g.k) {
    const int64_t elements = g.m * g.n;
    if (elements > 0 && small(g) && g.b_packed == nullptr) {
      const int64_t most = std::min(
          {kDepthParts, elements * g.k / kDepthPartWork, g.k / kDepthPart});
      if (most > 1) {
        depth = round_up((g.k + most - 1) / most, 16);
        count = (g.k + depth - 1) / depth;
        sums_bytes = round_up(
            (count - 1) * elements * static_cast<int64_t>(sizeof(T)), 64);
      }
    }
    // A shorter sum may have deeper blocks.
    part_bytes = std::max(run_bytes(part(g, 0)), run_bytes(part(g, count - 1)));
  }

  // Part i, without its place for the sums.
  Gemm<T, S> part(const Gemm<T, S>& g, int64_t i) const {
    Gemm<T, S> p = g;
    p.k = std::min(depth, g.k - i * depth);
    if (count > 1) p.epilogue = nullptr;
    if (i == 0) return p;
    p.a.data += i * depth * g.a.col;
    p.b.data += i * depth * g.b.row;
    p.col_bias = nullptr;
    p.row_bias = nullptr;
    p.accumulate = false;
    p.c_row = g.n;
    return p;
  }

  int64_t bytes() const { return sums_bytes + count * part_bytes; }

  void run_all(const Gemm<T, S>& g, void* scratch) const {
    T* const sums = static_cast<T*>(scratch);
    char* const rest = static_cast<char*>(scratch) + sums_bytes;
    parallel_for(count, 1, [&](int64_t i, int64_t end) {
      for (; i < end; ++i) {
        Gemm<T, S> p = part(g, i);
        if (i > 0) p.c = sums + (i - 1) * g.m * g.n;
        run(p, rest + i * part_bytes);
      }
    });
    for (int64_t i = 0; i + 1 < count; ++i) {
      const T* sum = sums + i * g.m * g.n;
      for (int64_t r = 0; r < g.m; ++r) {
        for (int64_t j = 0; j < g.n; ++j) {
          g.c[r * g.c_row + j] += sum[r * g.n + j];
        }
      }
    }
    finish(g);
  }
};

}  // namespace

template <class T, class S>
GemmPlan plan_gemm(const Gemm<T, S>& g) {
  constexpr auto kSize = static_cast<int64_t>(sizeof(S));
  constexpr int64_t kMaxDepth =
      kGemmDepthBytes / static_cast<int64_t>(sizeof(T));
  constexpr bool kAsIs = std::is_same_v<T, S>;
  GemmPlan plan;
  const bool dense_sums = g.b_packed == nullptr && g.a.col == 1 &&
                          g.b.row == 1 && (g.b.col != 1 || g.n == 1);
  if (dense_sums && g.m <= kDotRows && g.k >= kDotDepth * g.m) {
    plan.way = GemmWay::dot;
    plan.pack_a = g.m > 1 && g.n > 16 && collides(g.a.row, kSize);
    if (plan.pack_a) plan.a_elements = g.m * padded_row(g.k);
    return plan;
  }
  if (!std::is_integral_v<S> && g.m <= kStreamRows && g.b.col == 1 &&
      g.b_packed == nullptr) {
    plan.way = GemmWay::stream;
    return plan;
  }
  int64_t rows = g.m;
  int64_t cols = g.n;
  if (dense_sums && g.m <= kSwapRows && g.n > g.m) {
    plan.way = GemmWay::swapped;
    std::swap(rows, cols);
    plan.pack_b = true;
  } else {
    plan.pack_b =
        !kAsIs || g.b.col != 1 || g.b_packed != nullptr ||
        (g.m > kDirectRows &&
         (std::min(g.k, kMaxDepth) * std::min(g.n, kGemmCols) * kSize >
              kNearBytes ||
          collides(g.b.row, kSize)));
  }
  plan.narrow = plan.way == GemmWay::tiles && g.m <= kNarrowRows &&
                (g.b_packed != nullptr ||
                 (plan.pack_b && g.b.col == 1 && g.n > kMaxTileCols));
  // Equal parts, and blocks of equally many. Sums of narrow operands are exact,
  // or rounded to so few bits that they need no parts. A narrow product uses up
  // a panel of B soon: it packs no more at a time than stays near.
  const int64_t word = word_elements<S>();
  const int64_t longest = (kAsIs || plan.narrow ? kSumPart : kMaxDepth) * word;
  int64_t part = round_up(std::max<int64_t>(g.k, 1), 16);
  plan.depth = part;
  if (g.k > longest) {
    const int64_t parts = ceil_div(g.k, longest);
    part = round_up(ceil_div(g.k, parts), 16);
    const bool one = plan.narrow && g.b_packed == nullptr;
    const int64_t most = one ? 1 : kMaxDepth * word / part;
    plan.depth = part * ceil_div(parts, ceil_div(parts, most));
  }
  plan.part = ceil_div(part, word);
  const int64_t depth = std::min(plan.depth, g.k);
  const MatrixView<S>& a = plan.way == GemmWay::swapped ? g.b : g.a;
  const int64_t a_row = plan.way == GemmWay::swapped ? a.col : a.row;
  const int64_t a_col = plan.way == GemmWay::swapped ? a.row : a.col;
  if (g.b_packed == nullptr) {
    cols = std::min(cols, plan.pack_b ? kGemmCols : kMaxTileCols);
    plan.b_elements = round_up(cols, kMaxTileCols) *
                      (ceil_div(depth, word) + (kAsIs ? 0 : 1));
  }
  // A's rows are read in place: tiles read along them.
  plan.pack_a = !kAsIs || (a_col == 1 ? rows_collide(rows, a_row, kSize)
                                      : rows > 1 && (cols > kMaxTileCols ||
                                                     collides(a_col, kSize)));
  // Otherwise a panel of A is packed where it is used, on the stack.
  if (plan.narrow && plan.pack_a) {
    plan.a_elements = (g.m / 4 + 1) * (kMaxDepth + 32) * 16;
  }
  // Dense columns: a panel would use pieces of cache lines. A panel is up to a
  // third wider in memory than it has rows.
  plan.pack_all_a = kAsIs && plan.way == GemmWay::tiles && !plan.narrow &&
                    plan.pack_a && a_row == 1 && g.b_packed == nullptr;
  if (plan.pack_all_a) {
    plan.a_elements = round_up((rows + rows / 3 + 16) * depth, 16);
  }
  return plan;
}

template <class T, class S>
void gemm(const Gemm<T, S>& g, void* scratch) {
  if (g.k >= 2 * kDepthPart && DepthParts<T, S>::small(g)) {
    const DepthParts<T, S> parts(g);
    if (parts.count > 1) return parts.run_all(g, scratch);
  }
  run(g, scratch);
}

template <class T, class S>
int64_t gemm_scratch_bytes(const Gemm<T, S>& g) {
  return DepthParts<T, S>(g).bytes();
}

template <class T, class S>
int64_t gemm_batch_scratch_bytes(const Gemm<T, S>& g, int64_t batch) {
  const int64_t work = g.m * g.n * g.k;
  const int64_t parts =
      work < kSplitWork ? chunk_count(batch, batch_grain(work, batch)) : 1;
  return parts * gemm_scratch_bytes(g);
}

template <class T, class S>
void gemm_batch(const Gemm<T, S>& g, int64_t batch,
                FunctionRef<GemmOffset(int64_t i)> offset, void* scratch) {
  const int64_t work = g.m * g.n * g.k;
  auto run = [&](int64_t begin, int64_t end, void* memory) {
    for (int64_t i = begin; i < end; ++i) {
      const GemmOffset by = offset(i);
      Gemm<T, S> one = g;
      one.a.data += by.a;
      one.b.data += by.b;
      one.c += by.c;
      gemm(one, memory);
    }
  };
  if (work >= kSplitWork || batch == 1) {
    run(0, batch, scratch);
    return;
  }
  const int64_t bytes = gemm_scratch_bytes(g);
  const int64_t grain = batch_grain(work, batch);
  const int64_t size = chunk_size(batch, grain);
  parallel_for(batch, grain, [&](int64_t begin, int64_t end) {
    run(begin, end, static_cast<char*>(scratch) + begin / size * bytes);
  });
}

// Packed panels are as wide as the instruction set's tile, at most this much
// wider than the matrix.
template <class T>
int64_t packed_b_bytes(int64_t k, int64_t n) {
  return round_up(n, kMaxTileCols) * k * static_cast<int64_t>(sizeof(T));
}

template <class T>
void pack_b(const Gemm<T>& g, T* to) {
  if constexpr (std::is_same_v<T, float>) {
    FE_BEST(pack_b_f32)(g, to);
  } else {
    FE_BEST(pack_b_f64)(g, to);
  }
}

template <class T>
bool packs_b(const Gemm<T>& g) {
  if (DepthParts<T, T>(g).count > 1) return false;
  const GemmPlan plan = plan_gemm(g);
  // Swapped, the sums of a block of the depth are added up before C gets them.
  return plan.way == GemmWay::swapped
             ? g.k <= plan.depth
             : plan.way == GemmWay::tiles && plan.pack_b;
}

#define FE_GEMM_FOR(T, S)                                                \
  template GemmPlan plan_gemm(const Gemm<T, S>&);                        \
  template void gemm(const Gemm<T, S>&, void*);                          \
  template int64_t gemm_scratch_bytes(const Gemm<T, S>&);                \
  template int64_t gemm_batch_scratch_bytes(const Gemm<T, S>&, int64_t); \
  template void gemm_batch(const Gemm<T, S>&, int64_t,                   \
                           FunctionRef<GemmOffset(int64_t)>, void*);
FE_GEMM_FOR(float, float)
FE_GEMM_FOR(double, double)
FE_GEMM_FOR(float, BFloat16)
FE_GEMM_FOR(float, Float16)
FE_GEMM_FOR(int32_t, int8_t)
#undef FE_GEMM_FOR
template int64_t packed_b_bytes<float>(int64_t, int64_t);
template int64_t packed_b_bytes<double>(int64_t, int64_t);
template void pack_b(const Gemm<float>&, float*);
template void pack_b(const Gemm<double>&, double*);
template bool packs_b(const Gemm<float>&);
template bool packs_b(const Gemm<double>&);

}  // namespace ferrule::cpu
