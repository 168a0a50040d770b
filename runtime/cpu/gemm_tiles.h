// Matrix products in register tiles: blocks, packing, order. For *.simd.cpp.
#pragma once

#include "runtime/core/thread_pool.h"
#include "runtime/cpu/finish_rows.h"
#include "runtime/cpu/gemm_pack.h"
#include "runtime/cpu/gemm_plan.h"
#include "runtime/cpu/gemm_tile.h"
#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
// Multiply-adds worth a visit to another thread: some 10 us.
inline constexpr int64_t kUnitWork = 1 << 20;
// Units that follow one another share what was fetched: no more than so many.
inline constexpr int64_t kMaxDown = 24;
// Panels of A at most, of what is done panel of B by panel.
inline constexpr int64_t kNarrowPanels = 32;
// Elements to copy that are.
inline constexpr int64_t kUnitCopy = 1 << 15;

alignas(64) inline constexpr double kZeros[kMaxTileCols] = {};

template <class T>
const T* zeros() {
  return reinterpret_cast<const T*>(kZeros);
}

// A product in tiles. B is taken in blocks of some columns and some depth that
// stay in the second-level cache; over each block go all the rows of A, a panel
// at a time, which stays in the first-level cache. A panel of B is packed by
// the first tile that reads it, or, where threads share the block, before.
template <class T, class S>
struct Tiles {
  using K = Kind<T, S>;
  static constexpr bool kAsIs = std::is_same_v<T, S>;
  static constexpr int64_t kMaxDepth = kGemmDepthBytes / sizeof(T);
  static constexpr int64_t kPanelWidth =
      (kTileRows + lanes<T> - 1) / lanes<T> * lanes<T>;

  const Gemm<T, S>& g;  // of the transposed product, if C is to be `swapped`
  const GemmPlan& plan;
  bool swapped;
  T* a_scratch;
  T* b_scratch;
  int64_t row_panels = ceil_div(g.m, kTileRows);
  int64_t k = 0, depth = 0;  // where the block lies, and its size
  int64_t j = 0, cols = 0;

  // The block's depth in words, and the rows of a packed panel of B.
  int64_t words() const { return words_of<T, S>(depth); }
  int64_t panel_rows() const { return words() + (K::offset ? 1 : 0); }

  // ---- Panels of A. Rows are split evenly, so that none is left with a few.

  int64_t row_of(int64_t panel) const {
    return g.m / row_panels * panel + least(panel, g.m % row_panels);
  }
  MatrixView<S> rows_in_place(int64_t panel) const {
    return {g.a.data + row_of(panel) * g.a.row + k * g.a.col, g.a.row, g.a.col};
  }
  bool rows_are_dense() const { return g.a.col == 1; }
  // Copies all panels: a few columns at a time, which all use while they are in
  // the first-level cache.
  void pack_all_rows() const {
    constexpr int64_t kColumns = 8;
    for (int64_t q = 0; q < depth; q += kColumns) {
      for (int64_t p = 0; p < row_panels; ++p) {
        const MatrixView<S> a = rows_in_place(p);
        pack_panel(a.data + q * a.col, a.col, a.row, least(depth - q, kColumns),
                   row_of(p + 1) - row_of(p),
                   a_scratch + (p * depth + q) * kPanelWidth, kPanelWidth);
      }
    }
  }
  // A panel where it is to be read, with room for a copy.
  MatrixView<T> a_panel(int64_t panel, T* room) const {
    if constexpr (kAsIs) {
      if (!plan.pack_a) return rows_in_place(panel);
      if (plan.pack_all_a) {
        return {a_scratch + panel * depth * kPanelWidth, 1, kPanelWidth};
      }
    }
    return packed_rows(panel, room);
  }

  // Copies a panel: to dense rows, if A's are dense, otherwise to columns.
  [[gnu::noinline]] MatrixView<T> packed_rows(int64_t panel, T* to) const {
    const int64_t rows = row_of(panel + 1) - row_of(panel);
    const MatrixView<S> a = rows_in_place(panel);
    if (!rows_are_dense()) {
      if constexpr (kAsIs) {
        pack_panel(a.data, a.col, a.row, depth, rows, to, kPanelWidth);
      } else {
        pack_words<T>(a.data, a.col, a.row, depth, rows, to, kPanelWidth, true);
      }
      return {to, 1, kPanelWidth};
    }
    const int64_t row = padded_row(words());
    for (int64_t r = 0; r < rows; ++r) {
      if constexpr (kAsIs) {
        pack_row(a.data + r * a.row, depth, to + r * row);
      } else {
        pack_words_of_row(a.data + r * a.row, depth, to + r * row);
      }
    }
    return {to, row, 1};
  }

  // ---- Panels of B

  int64_t col_panels() const { return ceil_div(cols, kTileCols<T>); }
  // Columns of C in a panel, and of the panel in memory: whole vectors.
  int64_t cols_of(int64_t panel) const {
    return least(cols - panel * kTileCols<T>, kTileCols<T>);
  }
  int64_t width_of(int64_t panel) const {
    return round_up(cols_of(panel), lanes<T>);
  }
  bool in_place(int64_t panel) const {
    return !plan.pack_b && cols_of(panel) % lanes<T> == 0;
  }
  // The first packed panel: all are, or only the last and incomplete one is.
  int64_t first_packed_panel() const {
    return plan.pack_b                  ? 0
           : in_place(col_panels() - 1) ? col_panels()
                                        : col_panels() - 1;
  }
  T* scratch_panel(int64_t panel) const {
    return b_scratch +
           (panel - first_packed_panel()) * kTileCols<T> * panel_rows();
  }
  // Where a whole packed matrix has the block.
  int64_t packed_block() const {
    return k * round_up(g.n, kTileCols<T>) + j * depth;
  }

  MatrixView<T> b_panel(int64_t panel) const {
    if constexpr (kAsIs) {
      if (in_place(panel)) {
        return {g.b.data + k * g.b.row + j + panel * kTileCols<T>, g.b.row, 1};
      }
    }
    const T* packed = g.b_packed != nullptr ? g.b_packed + packed_block() +
                                                  panel * kTileCols<T> * depth
                                            : scratch_panel(panel);
    return {packed, width_of(panel), 1};
  }

  const S* b_source(int64_t panel) const {
    return g.b.data + k * g.b.row + (j + panel * kTileCols<T>)*g.b.col;
  }
  [[gnu::noinline]] void pack_columns(int64_t panel) const {
    if constexpr (kAsIs) {
      pack_panel(b_source(panel), g.b.row, g.b.col, depth, cols_of(panel),
                 scratch_panel(panel), width_of(panel),
                 panel + 1 < col_panels() ? kTileCols<T> : 0);
    } else {
      if constexpr (requires { &K::full_rows; }) {
        if (g.b.col == 1 && cols_of(panel) == kTileCols<T>) {
          return pack_full_words(b_source(panel), g.b.row, depth,
                                 scratch_panel(panel));
        }
      }
      pack_words(b_source(panel), g.b.row, g.b.col, depth, cols_of(panel),
                 scratch_panel(panel), width_of(panel), false);
    }
  }

  void pack_block() const {
    const int64_t first = first_packed_panel();
    if (first == col_panels()) return;
    const int64_t size = depth * kTileCols<T>;
    parallel_for(col_panels() - first, most(1, kUnitCopy / most(1, size)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t p = begin; p < end; ++p)
                     pack_columns(first + p);
                 });
  }

  // ---- Products

  // Packs a panel of B for its first tile, which copies what it reads if it
  // can; meanwhile the next panel comes near.
  void pack_for(Tile<T>& t, int64_t panel) const {
    if constexpr (kAsIs) {
      if (g.b.col == 1 && t.cols == kTileCols<T>) {
        t.b = b_source(panel);
        t.b_row = g.b.row;
        t.b_copy = scratch_panel(panel);
        if (panel + 1 < col_panels()) {
          t.fetch = t.b + kTileCols<T>;
          t.fetch_row = g.b.row;
        }
        return;
      }
    }
    pack_columns(panel);
  }

  // One tile: rows [row, row + rows) and a column panel. `pack`: the panel is
  // used for the first time.
  [[gnu::noinline]] void tile(int64_t row, int64_t rows, const MatrixView<T>& a,
                              int64_t panel, bool pack) const {
    const bool first = k == 0;
    const int64_t column = j + panel * kTileCols<T>;
    const int64_t width = width_of(panel);
    const MatrixView<T> b = b_panel(panel);
    Tile<T> t;
    t.depth = words();
    t.a = a.data;
    t.a_row = a.row;
    t.a_col = a.col;
    t.b = b.data;
    t.b_row = b.row;
    t.cols = cols_of(panel);
    if (pack && panel >= first_packed_panel()) pack_for(t, panel);
    T bias[kTileCols<T>];
    t.col_init = K::offset ? b.data + words() * b.row : zeros<T>();
    if (first && g.col_bias != nullptr) {
      t.col_init = g.col_bias + column;
      if (t.cols < width) {
        for (int64_t v = 0; v < width; v += lanes<T>) {
          store(bias + v, load(t.col_init + v, most(0, t.cols - v)));
        }
        t.col_init = bias;
      }
    }
    const bool has_row_bias = first && g.row_bias != nullptr;
    t.row_init_step = has_row_bias ? 1 : 0;
    t.row_init = has_row_bias ? g.row_bias + row : zeros<T>();
    t.add = g.accumulate || !first;
    const auto run = tile_function<T, typename K::Op>(rows, width / lanes<T>);
    if (swapped) {
      alignas(kVectorBytes) T sums[kTileRows * kTileCols<T>];
      T* const c = g.c + column * g.c_row + row;
      const bool add = t.add;
      t.add = false;
      t.c = sums;
      t.c_row = kTileCols<T>;
      const int64_t kept = t.cols;
      t.cols = width;
      run_in_parts(run, t, plan.part);
      store_transposed(sums, kTileCols<T>, rows, kept, c, g.c_row, add);
      finish(row, kept, c, rows);
    } else {
      t.c = g.c + row * g.c_row + column;
      t.c_row = g.c_row;
      const int64_t kept = t.cols;
      run_in_parts(run, t, plan.part);
      finish(column, rows, t.c, kept);
    }
  }

  // What follows on a tile of the result.
  void finish(int64_t column, int64_t rows, T* c, int64_t count) const {
    if constexpr (std::is_same_v<S, float>) {
      if (g.epilogue == nullptr || k + depth < g.k) return;
      finish_rows(*g.epilogue, g.column + column, rows, c, g.c_row, count);
    }
  }

  // Row panels [row, row_end) times column panels [col, col_end). `pack`: these
  // are used for the first time.
  [[gnu::noinline]] void unit(int64_t row, int64_t row_end, int64_t col,
                              int64_t col_end, bool pack) const {
    alignas(64) T packed[most(kTileRows * padded_row(kMaxDepth),
                              kPanelWidth * kMaxDepth)];
    const int64_t fetched = ceil_div(kTileRows, col_end - col);
    for (int64_t r = row; r < row_end; ++r) {
      const int64_t from = row_of(r);
      const int64_t rows = row_of(r + 1) - from;
      const MatrixView<T> a = a_panel(r, packed);
      const bool fetch = plan.pack_a && rows_are_dense() && r + 1 < row_panels;
      const S* next = g.a.data + (from + rows) * g.a.row + k;
      for (int64_t p = col; p < col_end; ++p) {
        // Some rows of the next panel of A for each tile.
        if (fetch) {
          const int64_t end = least(kTileRows, (p - col + 1) * fetched);
          for (int64_t n = (p - col) * fetched; n < end; ++n) {
            for (int64_t i = 0; i < depth; i += 64 / sizeof(S)) {
              __builtin_prefetch(next + n * g.a.row + i);
            }
          }
        }
        tile(from, rows, a, p, pack && r == row);
      }
    }
  }

  // A unit is a panel of A times as much of the block as gives it enough to do,
  // or some panels of A times all of it.
  void multiply_block() const {
    const int64_t panel_work = most(1, kTileRows * kTileCols<T> * depth);
    const int64_t across =
        least(col_panels(), most(1, col_panels() * panel_work / kUnitWork));
    const int64_t down =
        most(most(1, row_panels / kMaxDown),
             kUnitWork / (ceil_div(col_panels(), across) * panel_work));
    const int64_t units = ceil_div(row_panels, down) * across;
    if (units == 1) return unit(0, row_panels, 0, col_panels(), false);
    parallel_for(units, 1, [&](int64_t i, int64_t end) {
      for (; i < end; ++i) {
        const int64_t row = i / across * down;
        const int64_t part = i % across;
        unit(row, least(row + down, row_panels), col_panels() * part / across,
             col_panels() * (part + 1) / across, false);
      }
    });
  }

  // Few rows of A: each panel of B is used up before the next one.
  void multiply_narrow() const {
    constexpr int64_t kPanel =
        most(kTileRows * padded_row(kMaxDepth), kPanelWidth * kMaxDepth);
    MatrixView<T> a[kNarrowPanels];
    for (int64_t r = 0; r < row_panels; ++r) {
      a[r] = a_panel(r, a_scratch + r * kPanel);
    }
    const bool pack = g.b_packed == nullptr;
    const int64_t work = most(1, g.m * kTileCols<T> * depth);
    parallel_for(col_panels(), most(1, kUnitWork / work),
                 [&](int64_t p, int64_t end) {
                   for (; p < end; ++p) {
                     for (int64_t r = 0; r < row_panels; ++r) {
                       tile(row_of(r), row_of(r + 1) - row_of(r), a[r], p,
                            pack && r == 0);
                     }
                   }
                 });
  }

  // visit() for every block of B.
  template <class Visit>
  void each_block(const Visit& visit) {
    for (j = 0; j < g.n; j += kGemmCols) {
      cols = least(g.n - j, kGemmCols);
      k = 0;
      do {  // once even if g.k is 0
        depth = least(g.k - k, plan.depth);
        visit();
        k += plan.depth;
      } while (k < g.k);
    }
  }
};

// `few` computes what is not done in tiles: few(plan, scratch).
template <class T, class S, class Few>
void gemm_any(const Gemm<T, S>& g, void* scratch, const Few& few) {
  if (g.m <= 0 || g.n <= 0) return;
  const GemmPlan plan = plan_gemm(g);
  T* const memory = static_cast<T*>(scratch);
  switch (plan.way) {
    case GemmWay::dot:
    case GemmWay::stream:
      few(plan, static_cast<S*>(scratch));
      return;
    case GemmWay::tiles:
    case GemmWay::swapped: {
      const bool swapped = plan.way == GemmWay::swapped;
      const Gemm<T, S> product = swapped ? transposed(g) : g;
      Tiles<T, S> tiles{product, plan, swapped, memory,
                        memory + plan.a_elements};
      tiles.each_block([&] {
        if (plan.narrow) return tiles.multiply_narrow();
        if (swapped) tiles.pack_block();
        if (swapped || g.b_packed != nullptr) return tiles.multiply_block();
        if constexpr (Tiles<T, S>::kAsIs) {
          if (plan.pack_all_a) tiles.pack_all_rows();
        }
        tiles.unit(0, tiles.row_panels, 0, tiles.col_panels(), true);
      });
    }
  }
}

}  // namespace ferrule::cpu::FE_ISA
