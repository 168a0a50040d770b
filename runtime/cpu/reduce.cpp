// Cuts reductions into units of work and combines their results.
#include "runtime/cpu/reduce.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>

#include "runtime/core/thread_pool.h"

namespace ferrule::cpu {
namespace {

// Elements that are worth a thread, and that make one part of a long run.
constexpr int64_t kGrain = 32768;
constexpr int64_t kLongRun = 65536;
// Rows narrower than this are copied together and folded by runs.
constexpr int64_t kFewColumns = 16;
// Columns that are folded together: long pieces of rows, whose sums stay in the
// first-level cache.
constexpr int64_t kFoldColumns = kFoldBlock;
// Bytes from which runs, and rows, count as read from memory.
constexpr int64_t kLargeRuns = int64_t{1} << 20;
constexpr int64_t kLargeRows = int64_t{8} << 20;

template <class T>
T neutral(Fold fold) {
  using Limits = std::numeric_limits<T>;
  if (fold == Fold::max)
    return Limits::has_infinity ? -Limits::infinity() : Limits::min();
  if (fold == Fold::min)
    return Limits::has_infinity ? Limits::infinity() : Limits::max();
  return T(0);
}

template <class T>
T combine(Fold fold, T a, T b) {
  if (fold == Fold::max) return a > b || a != a ? a : b;
  if (fold == Fold::min) return a < b || a != a ? a : b;
  if constexpr (std::is_integral_v<T>) {  // wraps
    return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  } else {
    return a + b;
  }
}

// Combines values pairwise as they come: the k-th with the one before, pairs
// with pairs, and so on, as a binary counter carries.
template <class T>
class PairwiseFold {
 public:
  explicit PairwiseFold(Fold fold) : fold_(fold) {}
  void add(T value) {
    for (int64_t k = count_++; k & 1; k >>= 1) {
      value = combine(fold_, stack_[--top_], value);
    }
    stack_[top_++] = value;
  }
  T result() const {
    if (top_ == 0) return neutral<T>(fold_);
    T value = stack_[top_ - 1];
    for (int k = top_ - 2; k >= 0; --k) {
      value = combine(fold_, stack_[k], value);
    }
    return value;
  }

 private:
  Fold fold_;
  int64_t count_ = 0;
  int top_ = 0;
  T stack_[64];
};

// How the values of parts are combined.
Fold outer_fold(Fold fold) {
  return fold == Fold::max || fold == Fold::min ? fold : Fold::sum;
}

int64_t grain_of(int64_t unit_elements) {
  return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, unit_elements));
}

// The one or two tensors that are folded, as dense pieces.
template <class T>
struct Operands {
  Reader a, b;
  bool has_b;
  bool even = false;  // rows lie evenly apart in memory
  alignas(64) T a_buffer[kFoldBlock];
  alignas(64) T b_buffer[kFoldBlock];

  Operands(const Reader& a, const Reader& b, bool has_b)
      : a(a), b(b), has_b(has_b) {}
  void seek(int64_t i) {
    a.seek(i);
    if (has_b) b.seek(i);
  }
  // Elements that next() gives as they lie in memory.
  int64_t ready() const {
    return has_b ? std::min(a.ready(), b.ready()) : a.ready();
  }
  // The next n <= kFoldBlock elements, or at most ready().
  void next(FoldInput& piece, int64_t n) {
    piece.a = a.next(n, a_buffer);
    if (has_b) piece.b = b.next(n, b_buffer);
  }
};

// Folds the next n elements to one value, block by block.
template <class T>
T fold_long_run(Fold fold, FoldRunFn fold_block, Operands<T>& operands,
                FoldInput piece, int64_t n) {
  PairwiseFold<T> total(outer_fold(fold));
  // Many blocks in one call, where they lie in the tensor's memory.
  constexpr int64_t kBlocks = 16;
  if (!piece.centre && operands.ready() >= n / kFoldBlock * kFoldBlock) {
    T values[kBlocks];
    while (n >= kFoldBlock) {
      const int64_t blocks = std::min(kBlocks, n / kFoldBlock);
      operands.next(piece, blocks * kFoldBlock);
      fold_block(values, piece, blocks, kFoldBlock);
      for (int64_t k = 0; k < blocks; ++k) total.add(values[k]);
      n -= blocks * kFoldBlock;
    }
  }
  for (int64_t length; n > 0; n -= length) {
    length = std::min(n, kFoldBlock);
    operands.next(piece, length);
    T value;
    fold_block(&value, piece, 1, length);
    total.add(value);
  }
  return total.result();
}

// Bytes from row to row when all rows over the dimensions of `order` in
// [first, last) lie evenly apart; -1 if they do not.
int64_t even_step(const TensorImpl& t, const Order& order, int first,
                  int last) {
  Order part;
  for (int k = first; k < last; ++k) part.push(order.dim[k]);
  const Layout l = layout_of(t, part);
  return l.n == 1 ? l.step[0] : -1;
}

}  // namespace

Reduction::Reduction(std::span<const int64_t> shape, uint32_t mask, DType t)
    : shape_(shape), mask_(mask), dtype_(t) {
  for (int d = 0; d < shape_.n; ++d) {
    (mask >> d & 1 ? count_ : results_) *= shape_[d];
  }
  const auto is_reduced = [&](int d) { return mask >> d & 1; };
  first_column_ = shape_.n;
  columns_ = 1;
  while (first_column_ > 0 &&
         (shape_[first_column_ - 1] == 1 || !is_reduced(first_column_ - 1))) {
    --first_column_;
    if (!is_reduced(first_column_)) columns_ *= shape_[first_column_];
  }
  if (columns_ < kFewColumns) columns_ = 0;
  if (columns_ == 0) {
    part_ = kLongRun;
  } else {
    const int64_t even = (count_ + 63) / 64;
    part_ =
        std::max<int64_t>(1024, (even + kFoldRows - 1) / kFoldRows * kFoldRows);
  }
  parts_ = std::max<int64_t>(1, (count_ + part_ - 1) / part_);
}

Order Reduction::order(bool by_runs) const {
  const int last = by_runs ? shape_.n : first_column_;
  Order o;
  for (int d = 0; d < last; ++d) {
    if (!(mask_ >> d & 1)) o.push(d);
  }
  for (int d = 0; d < shape_.n; ++d) {
    if (mask_ >> d & 1) o.push(d);
  }
  for (int d = last; d < shape_.n; ++d) {
    if (!(mask_ >> d & 1)) o.push(d);
  }
  return o;
}

int64_t Reduction::scratch_bytes() const {
  return parts_ == 1 ? 0 : results_ * parts_ * itemsize(dtype_);
}

void Reduction::run(Fold fold, const FoldOperands& in, void* out,
                    void* scratch) const {
  if (results_ == 0) return;
  by_number(dtype_, [&]<class T>(T) {
    run_as(fold, in, static_cast<T*>(out), static_cast<T*>(scratch));
  });
}

template <class T>
void Reduction::run_as(Fold fold, const FoldOperands& in, T* out,
                       T* scratch) const {
  if (count_ == 0) {
    std::fill_n(out, results_, neutral<T>(fold));
    return;
  }
  if (results_ == 1 && count_ <= kFoldBlock && !in.b && in.a->contiguous &&
      in.a->dtype == dtype_) {
    const FoldInput all{.a = in.a->bytes(), .centre = in.centre};
    return FE_BEST(fold_run)(fold, dtype_)(out, all, 1, count_);
  }
  T* parts = parts_ == 1 ? out : scratch;
  if (columns_ == 0) {
    run_by_runs(fold, in, parts);
  } else {
    run_by_rows(fold, in, parts);
  }
  if (parts_ == 1) return;
  // Parts of one result are `width` values apart.
  const int64_t width = columns_ == 0 ? 1 : columns_;
  parallel_for(results_, grain_of(parts_), [&](int64_t r, int64_t end) {
    for (; r < end; ++r) {
      const T* first = parts + r / width * width * parts_ + r % width;
      PairwiseFold<T> total(outer_fold(fold));
      for (int64_t p = 0; p < parts_; ++p) total.add(first[p * width]);
      out[r] = total.result();
    }
  });
}

template <class T>
void Reduction::run_by_runs(Fold fold, const FoldOperands& in, T* parts) const {
  const FoldRunFn fold_block = FE_BEST(fold_run)(fold, dtype_);
  const Order walk = order(true);
  const Reader a(*in.a, layout_of(*in.a, walk), dtype_);
  const Reader b =
      in.b ? Reader(*in.b, layout_of(*in.b, walk), dtype_) : Reader();
  const T* centre = static_cast<const T*>(in.centre);
  const auto body = [&](int64_t unit, int64_t end) {
    Operands<T> operands(a, b, in.b != nullptr);
    operands.seek(unit / parts_ * count_ + unit % parts_ * part_);
    // Several results at a time if their runs are short.
    const int64_t batch = std::max<int64_t>(1, kFoldBlock / count_);
    for (int64_t runs; unit < end; unit += runs) {
      const int64_t result = unit / parts_;
      FoldInput piece;
      piece.centre = centre ? centre + result : nullptr;
      piece.from_memory = in.a->nbytes() >= kLargeRuns;
      if (count_ <= kFoldBlock) {
        runs = std::min(std::max(batch, operands.ready() / count_), end - unit);
        operands.next(piece, runs * count_);
        fold_block(parts + unit, piece, runs, count_);
      } else {
        runs = 1;
        const int64_t left = count_ - unit % parts_ * part_;
        parts[unit] = fold_long_run(fold, fold_block, operands, piece,
                                    std::min(part_, left));
      }
    }
  };
  parallel_for(results_ * parts_, grain_of(std::min(part_, count_)), body);
}

// Folds rows [first, last), `columns` elements apart from row to row, into
// `result`: kFoldRows of them into a row of sums, which is then added.
template <class T>
struct RowFold {
  FoldRowsFn fold_rows;
  FoldRowsFn add_row;
  T start;
  int64_t columns;

  void run(Operands<T>& operands, FoldInput piece, int64_t first, int64_t last,
           int64_t column, int64_t width, T* result) const {
    alignas(64) T none[kFoldColumns];
    alignas(64) T total[kFoldColumns];
    alignas(64) T sums[kFoldColumns];
    FoldInput sum;
    sum.a = sums;
    // To the end of a vector: kFoldColumns is a multiple of any.
    const int64_t filled = std::min(kFoldColumns, width + 64);
    std::fill_n(none, filled, start);
    std::memcpy(total, none, filled * sizeof(T));
    for (int64_t r = first; r < last; r += kFoldRows) {
      const int64_t rows = std::min(kFoldRows, last - r);
      const int64_t at_once = operands.even ? rows : 1;
      std::memcpy(sums, none, filled * sizeof(T));
      for (int64_t k = 0; k < rows; k += at_once) {
        operands.seek((r + k) * columns + column);
        if (operands.even) {
          piece.a = operands.a.here();
          piece.b = operands.has_b ? operands.b.here() : nullptr;
        } else {
          operands.next(piece, width);
        }
        fold_rows(sums, piece, at_once, width);
      }
      add_row(total, sum, 1, width);
    }
    std::memcpy(result, total, width * sizeof(T));
  }
};

template <class T>
void Reduction::run_by_rows(Fold fold, const FoldOperands& in, T* parts) const {
  const Order walk = order(false);
  const Reader a(*in.a, layout_of(*in.a, walk), dtype_);
  const Reader b =
      in.b ? Reader(*in.b, layout_of(*in.b, walk), dtype_) : Reader();
  // Where the reduced dimensions stand in `walk`.
  int outer = 0;
  while (!(mask_ >> walk.dim[outer] & 1)) ++outer;
  int inner = walk.n;
  while (!(mask_ >> walk.dim[inner - 1] & 1)) --inner;
  const auto row_step = [&](const TensorImpl* t, const Reader& r) -> int64_t {
    if (!t) return 0;
    const bool dense =
        r.here() && even_step(*t, walk, inner, walk.n) == int64_t{sizeof(T)};
    return dense ? even_step(*t, walk, outer, inner) : -1;
  };
  const int64_t a_step = row_step(in.a, a);
  const int64_t b_step = row_step(in.b, b);
  const RowFold<T> rows{FE_BEST(fold_rows)(fold, dtype_),
                        FE_BEST(fold_rows)(outer_fold(fold), dtype_),
                        neutral<T>(fold), columns_};
  const int64_t tiles = (columns_ + kFoldColumns - 1) / kFoldColumns;
  const auto body = [&](int64_t unit, int64_t end) {
    Operands<T> operands(a, b, in.b != nullptr);
    operands.even = a_step >= 0 && b_step >= 0;
    for (; unit < end; ++unit) {
      const int64_t strip = unit / tiles;
      const int64_t group = strip / parts_;
      const int64_t column = unit % tiles * kFoldColumns;
      FoldInput piece;
      piece.a_step = a_step;
      piece.b_step = b_step;
      piece.from_memory = in.a->nbytes() >= kLargeRows;
      if (in.centre) {
        piece.centre =
            static_cast<const T*>(in.centre) + group * columns_ + column;
      }
      const int64_t first = strip % parts_ * part_;
      const int64_t last = std::min(count_, first + part_);
      rows.run(operands, piece, group * count_ + first, group * count_ + last,
               column, std::min(kFoldColumns, columns_ - column),
               parts + strip * columns_ + column);
    }
  };
  const int64_t unit_elements =
      std::min(part_, count_) * std::min(columns_, kFoldColumns);
  parallel_for(results_ / columns_ * parts_ * tiles, grain_of(unit_elements),
               body);
}

void Reduction::find(const TensorImpl& in, const void* values,
                     int64_t* out) const {
  const Reader start(in, layout_of(in, order(true)), dtype_);
  const int64_t size = itemsize(dtype_);
  parallel_for(results_, grain_of(count_), [&](int64_t r, int64_t end) {
    TileBuffer buffer;
    Reader reader = start;
    for (; r < end; ++r) {
      const void* value = static_cast<const char*>(values) + r * size;
      int64_t at = 0;
      reader.seek(r * count_);
      while (at < count_) {
        const int64_t n = std::min(kTile, count_ - at);
        const int64_t k =
            FE_BEST(find_first)(reader.next(n, buffer.bytes), value, n, dtype_);
        at += k;
        if (k < n) break;
      }
      out[r] = at;
    }
  });
}

}  // namespace ferrule::cpu
