// Walks the elements of a tensor in the order of somebody else's dimensions,
// and hands them out as dense tiles of the wanted dtype.
//
//   Reader in(x, broadcast_layout(x, shape), DType::f32);
//   in.seek(begin);
//   const void* p = in.next(n, buffer);  // x's own memory where possible
//
// Kernels are written for dense tiles of few dtypes; strides, broadcasting and
// the other dtypes end here.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>

#include "ferrule/op.h"
#include "runtime/cpu/convert.h"
#include "runtime/cpu/stream.h"

namespace ferrule::cpu {

// Sizes and byte steps, outermost first. Dimensions that can be walked as one
// are one; there is at least one.
struct Layout {
  int n = 0;
  int64_t size[kMaxRank];
  int64_t step[kMaxRank];

  // Adds an innermost dimension.
  void push(int64_t new_size, int64_t new_step) {
    if (new_size == 1) return;
    if (n > 0 && step[n - 1] == new_size * new_step) {
      size[n - 1] *= new_size;
      step[n - 1] = new_step;
      return;
    }
    size[n] = new_size;
    step[n++] = new_step;
  }
  // All are pushed. Of no elements it is as of one, which nobody reads: a place
  // among them can be computed.
  void close(int64_t itemsize) {
    const bool empty = std::find(size, size + n, 0) != size + n;
    if (n > 0 && !empty) return;
    n = 1;
    size[0] = 1;
    step[0] = itemsize;
  }
};

// Order of dimensions, outermost first.
struct Order {
  int n = 0;
  int dim[kMaxRank];
  void push(int d) { dim[n++] = d; }
};
// That in which the memory of `t` is walked forwards.
Order memory_order(const TensorImpl& t);

// `t` with its dimensions in this order.
Layout layout_of(const TensorImpl& t, const Order& order);
// `t` as broadcast to `shape`, whose dimensions are taken in this order.
Layout broadcast_layout(const TensorImpl& t, std::span<const int64_t> shape,
                        const Order& order);

// A position in a layout.
class Cursor {
 public:
  Cursor() = default;
  Cursor(char* base, const Layout& layout, int64_t itemsize)
      : layout_(layout), base_(base), itemsize_(itemsize) {
    seek(0);
  }

  void seek(int64_t i);
  char* here() const { return at_; }
  // Elements from here on that stand one after another in memory; 0 where rows
  // are so short that copying them together is cheaper.
  int64_t dense() const { return has_long_rows() ? left_ : 0; }
  bool dense(int64_t n) const {
    return layout_.step[layout_.n - 1] == itemsize_ && n <= left_;
  }
  bool constant() const { return layout_.n == 1 && layout_.step[0] == 0; }
  // All elements stand one after another.
  bool one_row() const {
    return layout_.n == 1 && layout_.step[0] == itemsize_;
  }
  int64_t itemsize() const { return itemsize_; }
  int64_t row_bytes() const { return layout_.size[layout_.n - 1] * itemsize_; }
  // Moves on by n elements, which are in one row.
  void advance(int64_t n) {
    left_ -= n;
    at_ += n * layout_.step[layout_.n - 1];
    if (left_ == 0) next_row();
  }
  // Copies n elements to or from dense memory, and moves on.
  void gather(void* to, int64_t n);
  void scatter(const void* from, int64_t n);

 private:
  static constexpr int64_t kLongRow = 64;
  bool has_long_rows() const {
    return layout_.step[layout_.n - 1] == itemsize_ &&
           (layout_.n == 1 || layout_.size[layout_.n - 1] >= kLongRow);
  }
  void next_row();
  template <class Visit>
  void each_run(int64_t n, const Visit& visit);

  Layout layout_;
  char* base_ = nullptr;
  char* row_ = nullptr;
  char* at_ = nullptr;
  int64_t left_ = 0;  // in this row
  int64_t itemsize_ = 0;
  int64_t index_[kMaxRank] = {};
};

// n times the number, as any dtype; as i64 it must not be a float.
void fill_number(const Arg& number, DType as, void* to, int64_t n);

// Gives out elements as dense tiles of one dtype.
class Reader {
 public:
  Reader() = default;
  Reader(const TensorImpl& t, const Layout& layout, DType as);
  // The same number for ever; `as` as for fill_number.
  Reader(const Arg& number, DType as);

  void seek(int64_t i) {
    if (!constant_) cursor_.seek(i);
  }
  // How many elements next() can give as they lie in memory; 0: it copies.
  int64_t ready() const {
    return constant_ || route_.n > 0 ? 0 : cursor_.dense();
  }
  // The same, but a number is ready as often as a TileBuffer holds it.
  int64_t ready_in_tile() const {
    return constant_ ? int64_t{sizeof(TileBuffer)} / itemsize_ : ready();
  }
  // The next n elements: in the tensor's memory or in `buffer`, which has room
  // for them and belongs to this reader as long as it is used.
  const void* next(int64_t n, void* buffer);
  // The next n elements, copied.
  void read(void* to, int64_t n);
  // The memory of the next n elements, as far as it is one piece.
  Ahead ahead(int64_t n) const {
    if (constant_ || !cursor_.one_row()) return {nullptr, 0};
    return {cursor_.here(), n * cursor_.itemsize()};
  }
  // Where the next element lies; null when elements have to be converted.
  const char* here() const {
    return constant_ || route_.n > 0 ? nullptr : cursor_.here();
  }

 private:
  void fill(void* to, int64_t n) const;

  Cursor cursor_;
  Route route_;
  int64_t itemsize_ = 0;
  bool constant_ = false;
  int64_t filled_ = 0;
  alignas(16) char value_[16] = {};
};

// Takes elements as dense tiles of one dtype.
class Writer {
 public:
  Writer() = default;
  Writer(const TensorImpl& t, const Layout& layout, DType from);

  // Writes past the caches if the tensor is dense and large (stream.h). place()
  // is `buffer` then, a TileBuffer at least; finish() comes after the last
  // done() of each thread.
  void stream_if_large() {
    streams_ = cursor_.one_row() && cursor_.row_bytes() >= kStreamFrom;
  }
  bool streams() const { return streams_; }
  // So that whoever computes the elements can do it, at here().
  bool streams_in_place() const {
    return streams_ && route_.n == 0 &&
           reinterpret_cast<uintptr_t>(cursor_.here()) % from_size_ == 0;
  }
  char* here() const { return cursor_.here(); }
  int64_t element_bytes() const { return from_size_; }
  void finish() const {
    if (streams_) FE_BEST(end_streams)();
  }

  void seek(int64_t i) { cursor_.seek(i); }
  int64_t ready() const {
    if (route_.n > 0) return 0;
    if (streams_) return kStreamTile / from_size_;
    return cursor_.dense();
  }
  // Where to put the next n elements: the tensor's memory, or `buffer`.
  void* place(int64_t n, void* buffer) {
    const bool there = route_.n == 0 && !streams_ && cursor_.dense(n);
    return there ? cursor_.here() : buffer;
  }
  // n elements have been put there. `ahead`: what is read next, see stream.h.
  void done(const void* place, int64_t n, const Ahead* ahead = nullptr,
            int count = 0);

 private:
  void put(const void* from, int64_t n, const Ahead* ahead, int count);

  Cursor cursor_;
  Route route_;
  int64_t from_size_ = 0;
  bool streams_ = false;
};

}  // namespace ferrule::cpu
