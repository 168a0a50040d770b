// Where elements lie that index tensors name, in elements from the start of a
// tensor, one tile at a time. Indices are checked as they are read, so that no
// kernel can be led outside of its memory, whoever writes them meanwhile.
#pragma once

#include <span>

#include "ferrule/op.h"
#include "runtime/cpu/cursor.h"

namespace ferrule::cpu {

// Offsets of the elements of a strided block, row by row.
class Walk {
 public:
  // Adds an innermost dimension.
  void push(int64_t size, int64_t step) {
    count_ *= size;
    layout_.push(size, step);
  }
  int64_t count() const { return count_; }
  // Offset i is i * step(), for all i.
  bool is_even() const { return layout_.n <= 1; }
  int64_t step() const { return layout_.n ? layout_.step[0] : 0; }
  void seek(int64_t i);
  // The next n.
  void next(int64_t n, int64_t* offsets);

 private:
  Layout layout_;
  int64_t count_ = 1;
  int64_t row_ = 0, column_ = 0;
  int64_t index_[kMaxRank] = {};
};

class Positions {
 public:
  // `shape`: that of the positions; the index tensors broadcast to it. `order`:
  // of its dimensions, outermost first. `wraps`: negative indices count from
  // the end.
  Positions(std::span<const int64_t> shape, const Order& order, bool wraps)
      : shape_(shape), order_(order), wraps_(wraps) {}

  // An index tensor that counts in dimension `dim`, whose elements lie `step`
  // apart.
  void add(const TensorImpl& index, int dim, int64_t size, int64_t step);
  // Where to count from; 0 unless it is set. It has as many elements as
  // positions.
  void set_base(const Walk& base) {
    base_ = base;
    has_base_ = true;
  }

  int64_t count() const { return shape_.count; }
  void seek(int64_t i);
  // The offsets of the next n <= kTile positions; false when an index is out of
  // range, which is reported.
  bool next(OpCall& c, int64_t n, int64_t* offsets);
  // Looks at all of them.
  bool check(OpCall& c) const;

 private:
  struct Shape : Dims {
    explicit Shape(std::span<const int64_t> s);
    int64_t count = 1;
  };
  struct Axis {
    Reader reader;
    int dim;
    int64_t size, step;
  };

  // The next n indices: where they lie, or in the buffer.
  static const int64_t* read(Axis& a, int64_t n, int64_t* buffer);
  void report(OpCall& c, const Axis& a, const int64_t* index, int64_t n) const;

  Shape shape_;
  Order order_;
  bool wraps_;
  int n_ = 0;
  Axis axes_[kMaxRank];
  Walk base_;
  bool has_base_ = false;
};

}  // namespace ferrule::cpu
