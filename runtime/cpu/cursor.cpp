// Walking strided and broadcast tensors.
#include "runtime/cpu/cursor.h"

#include <complex>

namespace ferrule::cpu {
namespace {

// 16 bytes, moved as one: complex128.
struct Wide {
  uint64_t half[2];
};

// Calls f with a value of the unsigned type of this size.
template <class F>
void with_item(int64_t itemsize, const F& f) {
  switch (itemsize) {
    case 1:
      return f(uint8_t{});
    case 2:
      return f(uint16_t{});
    case 4:
      return f(uint32_t{});
    case 8:
      return f(uint64_t{});
    default:
      return f(Wide{});
  }
}

// n times the same; by copying what is there already, which memcpy does with
// the widest vectors.
template <class T>
void fill(T* out, int64_t n, T value) {
  constexpr int64_t kFirst = 16;
  std::fill_n(out, std::min(n, kFirst), value);
  for (int64_t done = kFirst; done < n; done *= 2) {
    std::memcpy(out + done, out, std::min(done, n - done) * sizeof(T));
  }
}

// Steps need not be multiples of the item's alignment in foreign memory.
template <class T>
T load_item(const char* from) {
  T v;
  std::memcpy(&v, from, sizeof(T));
  return v;
}

}  // namespace

Order memory_order(const TensorImpl& t) {
  Order order;
  for (int d = 0; d < t.ndim; ++d) order.push(d);
  if (t.contiguous) return order;
  // By falling strides, equal ones as they stand. (A general sort is much code
  // for so few.)
  const auto stride = [&](int d) { return std::abs(t.strides[d]); };
  for (int i = 1; i < order.n; ++i) {
    for (int k = i; k > 0 && stride(order.dim[k - 1]) < stride(order.dim[k]);
         --k) {
      std::swap(order.dim[k - 1], order.dim[k]);
    }
  }
  return order;
}

Layout layout_of(const TensorImpl& t, const Order& order) {
  return broadcast_layout(t, t.sizes(), order);
}

Layout broadcast_layout(const TensorImpl& t, std::span<const int64_t> shape,
                        const Order& order) {
  const int64_t bytes = itemsize(t.dtype);
  const int missing = static_cast<int>(shape.size()) - t.ndim;
  Layout l;
  for (int k = 0; k < order.n; ++k) {
    const int d = order.dim[k];
    const int own = d - missing;
    const bool repeated = own < 0 || t.shape[own] == 1;
    l.push(shape[d], repeated ? 0 : t.strides[own] * bytes);
  }
  l.close(bytes);
  return l;
}

void Cursor::seek(int64_t i) {
  const int inner = layout_.n - 1;
  const int64_t length = layout_.size[inner];
  int64_t rest = i / length;
  const int64_t column = i - rest * length;
  row_ = base_;
  for (int d = inner - 1; d >= 0; --d) {
    const int64_t outer = rest / layout_.size[d];
    index_[d] = rest - outer * layout_.size[d];
    row_ += index_[d] * layout_.step[d];
    rest = outer;
  }
  at_ = row_ + column * layout_.step[inner];
  left_ = length - column;
}

void Cursor::next_row() {
  for (int d = layout_.n - 2; d >= 0; --d) {
    row_ += layout_.step[d];
    if (++index_[d] < layout_.size[d]) break;
    row_ -= layout_.size[d] * layout_.step[d];
    index_[d] = 0;
  }
  at_ = row_;
  left_ = layout_.size[layout_.n - 1];
}

// Visits the next n elements as pieces of rows, or as whole rows that lie
// evenly apart: visit(first, elements in a row, rows, bytes between rows).
template <class Visit>
void Cursor::each_run(int64_t n, const Visit& visit) {
  const int inner = layout_.n - 1;
  const int64_t length = layout_.size[inner];
  while (n > 0) {
    if (inner > 0 && left_ == length && n >= 2 * length) {
      const int outer = inner - 1;
      const int64_t rows =
          std::min(n / length, layout_.size[outer] - index_[outer]);
      visit(at_, length, rows, layout_.step[outer]);
      n -= rows * length;
      index_[outer] += rows - 1;
      row_ += (rows - 1) * layout_.step[outer];
      next_row();
      continue;
    }
    const int64_t run = std::min(n, left_);
    visit(at_, run, 1, 0);
    advance(run);
    n -= run;
  }
}

void Cursor::gather(void* to, int64_t n) {
  const int64_t step = layout_.step[layout_.n - 1];
  with_item(itemsize_, [&]<class T>(T) {
    T* out = static_cast<T*>(to);
    each_run(n, [&](const char* from, int64_t length, int64_t rows,
                    int64_t row_step) {
      for (int64_t r = 0; r < rows; ++r, from += row_step, out += length) {
        if (step == sizeof(T) && length >= 8) {
          std::memcpy(out, from, length * sizeof(T));
        } else if (step == 0) {
          fill(out, length, load_item<T>(from));
        } else {
          for (int64_t i = 0; i < length; ++i) {
            out[i] = load_item<T>(from + i * step);
          }
        }
      }
    });
  });
}

void Cursor::scatter(const void* from, int64_t n) {
  const int64_t step = layout_.step[layout_.n - 1];
  with_item(itemsize_, [&]<class T>(T) {
    const T* in = static_cast<const T*>(from);
    each_run(n, [&](char* to, int64_t length, int64_t rows, int64_t row_step) {
      for (int64_t r = 0; r < rows; ++r, to += row_step, in += length) {
        for (int64_t i = 0; i < length; ++i) {
          std::memcpy(to + i * step, in + i, sizeof(T));
        }
      }
    });
  });
}

Reader::Reader(const TensorImpl& t, const Layout& layout, DType as)
    : cursor_(t.bytes(), layout, itemsize(t.dtype)),
      route_(t.dtype, as),
      itemsize_(itemsize(as)),
      constant_(cursor_.constant()) {
  if (!constant_) return;
  if (route_.n == 0) {
    std::memcpy(value_, t.bytes(), itemsize_);
  } else {
    route_.convert(value_, t.bytes(), 1);
  }
}

Reader::Reader(const Arg& number, DType as)
    : itemsize_(itemsize(as)), constant_(true) {
  fill_number(number, as, value_, 1);
}

void fill_number(const Arg& number, DType as, void* to, int64_t n) {
  const bool computed = as == DType::f32 || as == DType::f64 ||
                        as == DType::i64 || as == DType::c128;
  if (!computed) {
    const DType wide = number.tag == ArgTag::float_ ? DType::f64 : DType::i64;
    char value[16] = {};
    char narrow[16] = {};
    fill_number(number, wide, value, 1);
    Route(wide, as).convert(narrow, value, 1);
    return with_item(itemsize(as), [&]<class T>(T) {
      fill(static_cast<T*>(to), n, load_item<T>(narrow));
    });
  }
  const bool is_float = number.tag == ArgTag::float_;
  const int64_t whole = number.tag == ArgTag::bool_ ? number.b : number.i;
  if (as == DType::f32) {
    fill(static_cast<float*>(to), n,
         is_float ? static_cast<float>(number.f) : static_cast<float>(whole));
  } else if (as == DType::f64) {
    fill(static_cast<double*>(to), n,
         is_float ? number.f : static_cast<double>(whole));
  } else if (as == DType::c128) {
    fill(static_cast<std::complex<double>*>(to), n,
         {is_float ? number.f : static_cast<double>(whole), 0.0});
  } else {
    fill(static_cast<int64_t*>(to), n, whole);
  }
}

void Reader::fill(void* to, int64_t n) const {
  with_item(itemsize_, [&]<class T>(T) {
    cpu::fill(static_cast<T*>(to), n, load_item<T>(value_));
  });
}

const void* Reader::next(int64_t n, void* buffer) {
  if (constant_) {
    if (filled_ < n) fill(buffer, n);
    filled_ = std::max(filled_, n);
    return buffer;
  }
  if (route_.n == 0 && cursor_.dense(n)) {
    const void* there = cursor_.here();
    cursor_.advance(n);
    return there;
  }
  read(buffer, n);
  return buffer;
}

void Reader::read(void* to, int64_t n) {
  if (constant_) return fill(to, n);
  if (route_.n == 0) return cursor_.gather(to, n);
  char* out = static_cast<char*>(to);
  TileBuffer raw;
  while (n > 0) {
    const int64_t step = std::min(n, kTile);
    if (cursor_.dense(step)) {
      route_.convert(out, cursor_.here(), step);
      cursor_.advance(step);
    } else {
      cursor_.gather(raw.bytes, step);
      route_.convert(out, raw.bytes, step);
    }
    out += step * itemsize_;
    n -= step;
  }
}

Writer::Writer(const TensorImpl& t, const Layout& layout, DType from)
    : cursor_(t.bytes(), layout, itemsize(t.dtype)),
      route_(from, t.dtype),
      from_size_(itemsize(from)) {}

// n elements of the tensor's dtype.
void Writer::put(const void* from, int64_t n, const Ahead* ahead, int count) {
  if (!streams_) return cursor_.scatter(from, n);
  FE_BEST(stream_copy)
  (cursor_.here(), from, n * cursor_.itemsize(), ahead, count);
  cursor_.advance(n);
}

void Writer::done(const void* place, int64_t n, const Ahead* ahead, int count) {
  if (place == cursor_.here()) return cursor_.advance(n);
  if (route_.n == 0) return put(place, n, ahead, count);
  const char* from = static_cast<const char*>(place);
  TileBuffer raw;
  while (n > 0) {
    const int64_t step = std::min(n, kTile);
    if (!streams_ && cursor_.dense(step)) {
      route_.convert(cursor_.here(), from, step);
      cursor_.advance(step);
    } else {
      route_.convert(raw.bytes, from, step);
      put(raw.bytes, step, ahead, count);
    }
    from += step * from_size_;
    n -= step;
  }
}

}  // namespace ferrule::cpu
