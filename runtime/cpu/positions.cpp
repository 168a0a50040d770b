// Index tensors to offsets.
#include "runtime/cpu/positions.h"

#include <type_traits>

namespace ferrule::cpu {

void Walk::seek(int64_t i) {
  if (layout_.n == 0) layout_.close(0);
  const int inner = layout_.n - 1;
  column_ = i % layout_.size[inner];
  i /= layout_.size[inner];
  row_ = 0;
  for (int d = inner - 1; d >= 0; --d) {
    index_[d] = i % layout_.size[d];
    i /= layout_.size[d];
    row_ += index_[d] * layout_.step[d];
  }
}

void Walk::next(int64_t n, int64_t* offsets) {
  const int inner = layout_.n - 1;
  const int64_t length = layout_.size[inner], step = layout_.step[inner];
  while (n > 0) {
    const int64_t m = std::min(n, length - column_);
    const int64_t first = row_ + column_ * step;
    for (int64_t k = 0; k < m; ++k) offsets[k] = first + k * step;
    offsets += m;
    n -= m;
    column_ += m;
    if (column_ < length) return;
    column_ = 0;
    for (int d = inner - 1; d >= 0; --d) {
      row_ += layout_.step[d];
      if (++index_[d] < layout_.size[d]) break;
      row_ -= layout_.size[d] * layout_.step[d];
      index_[d] = 0;
    }
  }
}

Positions::Shape::Shape(std::span<const int64_t> s) : Dims(s) {
  for (int64_t size : s) count *= size;
}

void Positions::add(const TensorImpl& index, int dim, int64_t size,
                    int64_t step) {
  if (count() == 0) return;  // nothing to read
  const Layout layout = broadcast_layout(index, shape_, order_);
  axes_[n_++] = {Reader(index, layout, DType::i64), dim, size, step};
}

void Positions::seek(int64_t i) {
  for (int k = 0; k < n_; ++k) axes_[k].reader.seek(i);
  if (has_base_) base_.seek(i);
}

namespace {

// Texts of reports are static.
constexpr const char* kOutOfRange[kMaxRank] = {
    "index {} is out of range for dimension 0 of size {}",
    "index {} is out of range for dimension 1 of size {}",
    "index {} is out of range for dimension 2 of size {}",
    "index {} is out of range for dimension 3 of size {}",
    "index {} is out of range for dimension 4 of size {}",
    "index {} is out of range for dimension 5 of size {}",
    "index {} is out of range for dimension 6 of size {}",
    "index {} is out of range for dimension 7 of size {}"};

}  // namespace

namespace {

// A full tile's loops have a constant length, for the compiler to turn them
// into vectors.
template <class Loop>
bool over(int64_t n, const Loop& loop) {
  return n == kTile ? loop(std::integral_constant<int64_t, kTile>()) : loop(n);
}

// Adds what an axis contributes; false when an index is out of range.
bool add_axis(const int64_t* index, int64_t n, int64_t size, int64_t back,
              int64_t step, int64_t* offsets) {
  return over(n, [=](auto length) {
    bool wrong = false;
    for (int64_t j = 0; j < length; ++j) {
      const int64_t given = index[j];
      const int64_t i = given + (given < 0 ? back : 0);
      wrong |= static_cast<uint64_t>(i) >= static_cast<uint64_t>(size);
      offsets[j] = static_cast<int64_t>(  // may overflow where it is wrong
          static_cast<uint64_t>(offsets[j]) +
          static_cast<uint64_t>(i) * static_cast<uint64_t>(step));
    }
    return !wrong;
  });
}

// The same where nothing is to be added to, for neighbouring elements: x[i].
bool only_axis(const int64_t* __restrict index, int64_t n, int64_t size,
               int64_t back, int64_t* __restrict offsets) {
  const auto last = static_cast<uint64_t>(size - 1);
  return over(n, [=](auto length) {
    uint64_t wrong = 0;  // its highest bit
    for (int64_t j = 0; j < length; ++j) {
      const int64_t given = index[j];
      const int64_t i = given + (given >> 63 & back);
      wrong |= static_cast<uint64_t>(i) | (last - static_cast<uint64_t>(i));
      offsets[j] = i;
    }
    return wrong >> 63 == 0;
  });
}

// Only looks.
bool in_range(const int64_t* index, int64_t n, int64_t low, int64_t high) {
  return over(n, [=](auto length) {
    uint64_t wrong = 0;  // its highest bit: a difference is negative
    for (int64_t j = 0; j < length; ++j) {
      const auto i = static_cast<uint64_t>(index[j]);
      wrong |=
          (i - static_cast<uint64_t>(low)) | (static_cast<uint64_t>(high) - i);
    }
    return wrong >> 63 == 0;
  });
}

}  // namespace

const int64_t* Positions::read(Axis& a, int64_t n, int64_t* buffer) {
  if (a.reader.ready() >= n) {
    return static_cast<const int64_t*>(a.reader.next(n, buffer));
  }
  a.reader.read(buffer, n);
  return buffer;
}

void Positions::report(OpCall& c, const Axis& a, const int64_t* index,
                       int64_t n) const {
  const int64_t low = wraps_ ? -a.size : 0;
  for (int64_t j = 0; j < n; ++j) {
    if (index[j] >= low && index[j] < a.size) continue;
    return c.report(kOutOfRange[a.dim], index[j], a.size);
  }
}

bool Positions::next(OpCall& c, int64_t n, int64_t* offsets) {
  const bool only = n_ == 1 && axes_[0].step == 1 && !has_base_;
  if (has_base_) {
    base_.next(n, offsets);
  } else if (!only) {
    std::fill_n(offsets, n, int64_t{0});
  }
  int64_t buffer[kTile];
  for (int k = 0; k < n_; ++k) {
    Axis& a = axes_[k];
    const int64_t* index = read(a, n, buffer);
    const int64_t back = wraps_ ? a.size : 0;
    if (only ? only_axis(index, n, a.size, back, offsets)
             : add_axis(index, n, a.size, back, a.step, offsets)) {
      continue;
    }
    report(c, a, index, n);
    return false;
  }
  return true;
}

bool Positions::check(OpCall& c) const {
  Positions p = *this;
  int64_t buffer[kTile];
  for (int k = 0; k < n_; ++k) {
    Axis& a = p.axes_[k];
    const int64_t low = wraps_ ? -a.size : 0, high = a.size - 1;
    a.reader.seek(0);
    for (int64_t i = 0, n; i < count(); i += n) {
      n = std::min(kTile, count() - i);
      const int64_t* index = p.read(a, n, buffer);
      if (in_range(index, n, low, high)) continue;
      report(c, a, index, n);
      return false;
    }
  }
  return true;
}

}  // namespace ferrule::cpu
