// The matrix product for one instruction set: blocks, packing, tiles.
#include "runtime/cpu/gemm.h"

#include "runtime/core/thread_pool.h"
#include "runtime/cpu/gemm_pack.h"
#include "runtime/cpu/gemm_plan.h"
#include "runtime/cpu/gemm_tile.h"
#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
namespace {

// Multiply-adds worth a visit to another thread: some 10 us.
constexpr int64_t kUnitWork = 1 << 20;
// Elements to copy that are.
constexpr int64_t kUnitCopy = 1 << 15;
// Row panels of A that stay in the second-level cache while B passes by.
constexpr int64_t kUnitRows = 168;

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

constexpr int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
constexpr int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

alignas(64) constexpr double kZeros[kMaxTileCols] = {};

template <class T>
const T* zeros() {
  return reinterpret_cast<const T*>(kZeros);
}

// ---- Dot products

// Columns [j, j + cols) of C, all rows of it.
template <class T, int rows, int cols>
void dot_tile(const Gemm<T>& g, int64_t i, int64_t j) {
  T sums[rows][cols];
  run_dot<T, rows, cols>(g.k, g.a.data + i * g.a.row, g.a.row,
                         g.b.data + j * g.b.col, g.b.col, sums);
  for (int r = 0; r < rows; ++r) {
    for (int s = 0; s < cols; ++s) {
      T* c = g.c + (i + r) * g.c_row + j + s;
      T sum = sums[r][s];
      if (g.col_bias != nullptr) sum += g.col_bias[j + s];
      if (g.row_bias != nullptr) sum += g.row_bias[i + r];
      *c = g.accumulate ? *c + sum : sum;
    }
  }
}

template <class T, int cols>
void dot_columns(const Gemm<T>& g, int64_t j) {
  int64_t i = 0;
  for (; i + kDotRows <= g.m; i += kDotRows)
    dot_tile<T, kDotRows, cols>(g, i, j);
  for (; i < g.m; ++i) dot_tile<T, 1, cols>(g, i, j);
}

template <class T>
void gemm_dot(const Gemm<T>& g) {
  const int64_t work = most(1, g.m * g.k * kDotCols);
  const int64_t grain = kDotCols * most(1, kUnitWork / 8 / work);
  parallel_for(g.n, grain, [&](int64_t begin, int64_t end) {
    int64_t j = begin;
    for (; j + kDotCols <= end; j += kDotCols) dot_columns<T, kDotCols>(g, j);
    for (; j < end; ++j) dot_columns<T, 1>(g, j);
  });
}

// ---- One row of A: B streams by once, four rows at a time, while a stretch of
// C stays in the first-level cache

constexpr int64_t kRowCols = 512;

template <class T, int depth>
void add_rows(const T* a, int64_t a_col, const T* b, int64_t b_row, T* c,
              int64_t cols) {
  Vec<T> a_k[depth];
#pragma GCC unroll 4
  for (int k = 0; k < depth; ++k) a_k[k] = splat(a[k * a_col]);
  auto step = [&](int64_t j, auto... n) {
    Vec<T> sum = load(c + j, n...);
#pragma GCC unroll 4
    for (int k = 0; k < depth; ++k) {
      sum = fma(a_k[k], load(b + k * b_row + j, n...), sum);
    }
    store(c + j, sum, n...);
  };
  int64_t j = 0;
  for (; j + lanes<T> <= cols; j += lanes<T>) step(j);
  if (j < cols) step(j, cols - j);
}

template <class T>
void gemm_row(const Gemm<T>& g) {
  const int64_t work = kRowCols * most(1, g.k);
  parallel_for(g.n, kRowCols * most(1, kUnitWork / 8 / work),
               [&](int64_t from, int64_t to) {
                 for (int64_t j = from; j < to; j += kRowCols) {
                   const int64_t cols = least(to - j, kRowCols);
                   T* c = g.c + j;
                   const T start = g.row_bias != nullptr ? *g.row_bias : T(0);
                   for (int64_t i = 0; i < cols; ++i) {
                     const T sum =
                         start +
                         (g.col_bias != nullptr ? g.col_bias[j + i] : T(0));
                     c[i] = g.accumulate ? c[i] + sum : sum;
                   }
                   const T* a = g.a.data;
                   const T* b = g.b.data + j;
                   int64_t k = 0;
                   for (; k + 4 <= g.k; k += 4) {
                     add_rows<T, 4>(a + k * g.a.col, g.a.col, b + k * g.b.row,
                                    g.b.row, c, cols);
                   }
                   for (; k < g.k; ++k) {
                     add_rows<T, 1>(a + k * g.a.col, g.a.col, b + k * g.b.row,
                                    g.b.row, c, cols);
                   }
                 }
               });
}

// ---- Blocks

// One block of A times one block of B.
template <class T>
struct Block {
  const Gemm<T>& g;
  const GemmPlan& plan;
  T* a_packed;
  T* b_packed;
  int64_t k, depth;  // where the block lies, and its size
  int64_t i, rows;
  int64_t j, cols;

  // Rows are split evenly, so that no panel is left with a few.
  int64_t row_panels() const { return ceil_div(rows, kTileRows); }
  int64_t row_of(int64_t panel) const {
    const int64_t panels = row_panels();
    return rows / panels * panel + least(panel, rows % panels);
  }
  int64_t col_panels() const { return ceil_div(cols, kTileCols<T>); }
  // Columns of C in a panel, and of the panel in memory: whole vectors.
  int64_t cols_of(int64_t panel) const {
    return least(cols - panel * kTileCols<T>, kTileCols<T>);
  }
  int64_t width_of(int64_t panel) const {
    return round_up(cols_of(panel), lanes<T>);
  }
  bool in_place(int64_t panel) const {
    return !plan.pack_b && cols_of(panel) == kTileCols<T>;
  }
  // The first packed panel: all are, or only the last and incomplete one is.
  int64_t first_packed_panel() const {
    return plan.pack_b ? 0 : cols / kTileCols<T>;
  }
  T* packed_panel(int64_t panel) const {
    return b_packed + (panel - first_packed_panel()) * kTileCols<T> * depth;
  }

  void pack_b() const {
    const int64_t first = first_packed_panel();
    const int64_t size = depth * kTileCols<T>;
    parallel_for(col_panels() - first, most(1, kUnitCopy / most(1, size)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t p = begin + first; p < end + first; ++p) {
                     const int64_t column = j + p * kTileCols<T>;
                     pack_panel(g.b.data + k * g.b.row + column * g.b.col,
                                g.b.row, g.b.col, depth, cols_of(p),
                                packed_panel(p), width_of(p));
                   }
                 });
  }

  // A's packed form is dense rows, if its own rows are dense, a little longer
  // than need be: a power of two would map all of them to the same cache lines.
  // Otherwise it is panels, as of B.
  bool a_in_rows() const { return g.a.col == 1; }
  int64_t a_packed_row() const { return round_up(depth, 16) + 16; }
  static constexpr int64_t kPanelWidth =
      (kTileRows + lanes<T> - 1) / lanes<T> * lanes<T>;

  void pack_a() const {
    const int64_t size = depth * kTileRows;
    parallel_for(row_panels(), most(1, kUnitCopy / most(1, size)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t p = begin; p < end; ++p) pack_row_panel(p);
                 });
  }

  void pack_row_panel(int64_t panel) const {
    const int64_t begin = row_of(panel);
    const int64_t end = row_of(panel + 1);
    const T* from = g.a.data + (i + begin) * g.a.row + k * g.a.col;
    if (a_in_rows()) {
      for (int64_t r = begin; r < end; ++r, from += g.a.row) {
        pack_row(from, depth, a_packed + r * a_packed_row());
      }
    } else {
      pack_panel(from, g.a.col, g.a.row, depth, end - begin,
                 a_packed + panel * kPanelWidth * depth, kPanelWidth);
    }
  }

  MatrixView<T> a_panel(int64_t panel) const {
    const int64_t row = row_of(panel);
    if (!plan.pack_a) {
      return {g.a.data + (i + row) * g.a.row + k * g.a.col, g.a.row, g.a.col};
    }
    if (a_in_rows())
      return {a_packed + row * a_packed_row(), a_packed_row(), 1};
    return {a_packed + panel * kPanelWidth * depth, 1, kPanelWidth};
  }

  // The product of row panels [begin, end) with one column panel.
  void multiply(int64_t begin, int64_t end, int64_t col_panel) const {
    const bool first = k == 0;
    const int64_t column = j + col_panel * kTileCols<T>;
    Tile<T> t;
    t.depth = depth;
    t.cols = cols_of(col_panel);
    if (in_place(col_panel)) {
      t.b = g.b.data + k * g.b.row + column;
      t.b_row = g.b.row;
    } else {
      t.b = packed_panel(col_panel);
      t.b_row = width_of(col_panel);
    }
    T bias[kTileCols<T>] = {};
    t.col_init = zeros<T>();
    if (first && g.col_bias != nullptr) {
      pack_row(g.col_bias + column, t.cols, bias);
      t.col_init = bias;
    }
    const bool has_row_bias = first && g.row_bias != nullptr;
    t.row_init_step = has_row_bias ? 1 : 0;
    t.add = g.accumulate || !first;
    t.c_row = g.c_row;
    for (int64_t p = begin; p < end; ++p) {
      const int64_t row = i + row_of(p);
      const MatrixView<T> a = a_panel(p);
      t.a = a.data;
      t.a_row = a.row;
      t.a_col = a.col;
      t.row_init = has_row_bias ? g.row_bias + row : zeros<T>();
      t.c = g.c + row * g.c_row + column;
      tile_function<T>(row_of(p + 1) - row_of(p),
                       width_of(col_panel) / lanes<T>)(t);
    }
  }

  // Units are some row panels times some column panels; those that follow one
  // another share the rows of A.
  void multiply() const {
    const int64_t unit_rows = least(row_panels(), kUnitRows / kTileRows);
    const int64_t panel_work =
        most(1, unit_rows * kTileRows * kTileCols<T> * depth);
    const int64_t unit_cols =
        least(col_panels(), ceil_div(kUnitWork, panel_work));
    const int64_t down = ceil_div(row_panels(), unit_rows);
    const int64_t across = ceil_div(col_panels(), unit_cols);
    parallel_for(down * across, 1, [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; ++unit) {
        const int64_t row = unit / across * unit_rows;
        const int64_t col = unit % across * unit_cols;
        const int64_t row_end = least(row + unit_rows, row_panels());
        const int64_t col_end = least(col + unit_cols, col_panels());
        for (int64_t p = col; p < col_end; ++p) multiply(row, row_end, p);
      }
    });
  }
};

template <class T>
void gemm_any(const Gemm<T>& g, void* scratch) {
  if (g.m <= 0 || g.n <= 0) return;
  const GemmPlan plan = plan_gemm(g);
  if (plan.dot) {
    gemm_dot(g);
    return;
  }
  if (plan.row) {
    gemm_row(g);
    return;
  }
  T* const a_packed = static_cast<T*>(scratch);
  Block<T> block{g, plan, a_packed, nullptr, 0, 0, 0, 0, 0, 0};
  T* const b_packed = a_packed + plan.a_elements;
  block.b_packed = b_packed;
  for (block.j = 0; block.j < g.n; block.j += kGemmCols) {
    block.cols = least(g.n - block.j, kGemmCols);
    block.k = 0;
    do {  // once even if k is 0
      block.depth = least(g.k - block.k, plan.depth);
      block.pack_b();
      for (block.i = 0; block.i < g.m; block.i += kGemmRows) {
        block.rows = least(g.m - block.i, kGemmRows);
        if (plan.pack_a) block.pack_a();
        block.multiply();
      }
      block.k += plan.depth;
    } while (block.k < g.k);
  }
}

}  // namespace

void gemm_f32(const Gemm<float>& g, void* scratch) { gemm_any(g, scratch); }

void gemm_f64(const Gemm<double>& g, void* scratch) { gemm_any(g, scratch); }

}  // namespace ferrule::cpu::FE_ISA
