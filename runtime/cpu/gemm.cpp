// Matrix products: the plan, scratch memory, batches.
#include "runtime/cpu/gemm.h"

#include <algorithm>
#include <type_traits>

#include "runtime/core/thread_pool.h"
#include "runtime/cpu/gemm_plan.h"

namespace ferrule::cpu {
namespace {

// Up to so many rows of A, dot products with columns of B that are dense cost
// less than packing B, if they are long enough to outweigh their last sums.
constexpr int64_t kDotRows = 16;
constexpr int64_t kDotDepth = 24;  // for each row
// Up to so many rows, B is read too few times to be packed.
constexpr int64_t kDirectRows = 28;
// What the first-level cache holds beside other things.
constexpr int64_t kNearBytes = 32 << 10;

// Multiply-adds of one product from which it is split rather than the batch.
constexpr int64_t kSplitWork = 1 << 22;
constexpr int64_t kBatchWork = 1 << 18;
// Parts of a batch that may run at a time, each with scratch of its own.
constexpr int64_t kBatchParts = 64;

// Rows or columns at this distance share cache lines with one another.
bool collides(int64_t stride, int64_t itemsize) {
  return stride * itemsize % 2048 == 0;
}

// A column vector is better made as a row vector, of the transposed product.
template <class T>
Gemm<T> upright(const Gemm<T>& g) {
  if (g.n != 1 || g.m == 1 || g.c_row != 1) return g;
  return {.m = 1,
          .n = g.m,
          .k = g.k,
          .a = {g.b.data, g.b.col, g.b.row},
          .b = {g.a.data, g.a.col, g.a.row},
          .c = g.c,
          .c_row = g.m,
          .col_bias = g.row_bias,
          .row_bias = g.col_bias,
          .accumulate = g.accumulate};
}

int64_t batch_grain(int64_t work, int64_t batch) {
  return std::max((batch + kBatchParts - 1) / kBatchParts,
                  kBatchWork / std::max<int64_t>(work, 1));
}

}  // namespace

template <class T>
GemmPlan plan_gemm(const Gemm<T>& g) {
  constexpr auto kSize = static_cast<int64_t>(sizeof(T));
  constexpr int64_t kMaxDepth = 2048 / kSize;
  GemmPlan plan;
  if (g.a.col == 1 && g.b.row == 1 && (g.b.col != 1 || g.n == 1) &&
      g.m <= kDotRows && g.k >= kDotDepth * g.m) {
    plan.dot = true;
    return plan;
  }
  if (g.m == 1 && g.b.col == 1) {
    plan.row = true;
    return plan;
  }
  const int64_t blocks =
      std::max<int64_t>(1, (g.k + kMaxDepth - 1) / kMaxDepth);
  plan.depth = round_up((g.k + blocks - 1) / blocks, 16);
  const int64_t depth = std::min(plan.depth, g.k);
  const int64_t rows = std::min(g.m, kGemmRows);
  const int64_t cols = std::min(g.n, kGemmCols);

  plan.pack_b = g.b.col != 1 ||
                (g.m > kDirectRows && (depth * cols * kSize > kNearBytes ||
                                       collides(g.b.row, kSize)));
  plan.b_elements = round_up(plan.pack_b ? cols : std::min(cols, kMaxTileCols),
                             kMaxTileCols) *
                    depth;

  const bool far = rows * depth * kSize > kNearBytes;
  plan.pack_a = g.n > kMaxTileCols && g.m > 1 &&
                (far || collides(g.a.col == 1 ? g.a.row : g.a.col, kSize));
  // Panels of A are up to a third wider than their rows, see gemm.simd.cpp.
  if (plan.pack_a) {
    plan.a_elements = g.a.col == 1 ? rows * (round_up(depth, 16) + 16)
                                   : (rows * 4 / 3 + 16) * depth;
    plan.a_elements = round_up(plan.a_elements, 16);
  }
  return plan;
}

template <class T>
void gemm(const Gemm<T>& g, void* scratch) {
  if constexpr (std::is_same_v<T, float>) {
    FE_BEST(gemm_f32)(upright(g), scratch);
  } else {
    FE_BEST(gemm_f64)(upright(g), scratch);
  }
}

template <class T>
int64_t gemm_scratch_bytes(const Gemm<T>& g) {
  const GemmPlan plan = plan_gemm(upright(g));
  return round_up(
      (plan.a_elements + plan.b_elements) * static_cast<int64_t>(sizeof(T)),
      64);
}

template <class T>
int64_t gemm_batch_scratch_bytes(const Gemm<T>& g, int64_t batch) {
  const int64_t work = g.m * g.n * g.k;
  const int64_t parts =
      work < kSplitWork ? chunk_count(batch, batch_grain(work, batch)) : 1;
  return parts * gemm_scratch_bytes(g);
}

template <class T>
void gemm_batch(const Gemm<T>& g, int64_t batch,
                FunctionRef<GemmOffset(int64_t i)> offset, void* scratch) {
  const int64_t work = g.m * g.n * g.k;
  const int64_t bytes = gemm_scratch_bytes(g);
  auto run = [&](int64_t begin, int64_t end, void* memory) {
    for (int64_t i = begin; i < end; ++i) {
      const GemmOffset by = offset(i);
      Gemm<T> one = g;
      one.a.data += by.a;
      one.b.data += by.b;
      one.c += by.c;
      gemm(one, memory);
    }
  };
  if (work >= kSplitWork) {
    run(0, batch, scratch);
    return;
  }
  const int64_t grain = batch_grain(work, batch);
  const int64_t size = chunk_size(batch, grain);
  parallel_for(batch, grain, [&](int64_t begin, int64_t end) {
    run(begin, end, static_cast<char*>(scratch) + begin / size * bytes);
  });
}

template GemmPlan plan_gemm(const Gemm<float>&);
template GemmPlan plan_gemm(const Gemm<double>&);
template void gemm(const Gemm<float>&, void*);
template void gemm(const Gemm<double>&, void*);
template int64_t gemm_scratch_bytes(const Gemm<float>&);
template int64_t gemm_scratch_bytes(const Gemm<double>&);
template int64_t gemm_batch_scratch_bytes(const Gemm<float>&, int64_t);
template int64_t gemm_batch_scratch_bytes(const Gemm<double>&, int64_t);
template void gemm_batch(const Gemm<float>&, int64_t,
                         FunctionRef<GemmOffset(int64_t)>, void*);
template void gemm_batch(const Gemm<double>&, int64_t,
                         FunctionRef<GemmOffset(int64_t)>, void*);

}  // namespace ferrule::cpu
