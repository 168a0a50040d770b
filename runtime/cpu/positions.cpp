// Index tensors to offsets.
#include "runtime/cpu/positions.h"

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

bool Positions::next(OpCall& c, int64_t n, int64_t* offsets) {
  if (has_base_) {
    base_.next(n, offsets);
  } else {
    std::fill_n(offsets, n, int64_t{0});
  }
  int64_t buffer[kTile];
  for (int k = 0; k < n_; ++k) {
    Axis& a = axes_[k];
    const int64_t* index = buffer;
    if (a.reader.ready() >= n) {
      index = static_cast<const int64_t*>(a.reader.next(n, buffer));
    } else {
      a.reader.read(buffer, n);
    }
    const int64_t size = a.size, step = a.step;
    const int64_t back = wraps_ ? size : 0;
    bool wrong = false;
    for (int64_t j = 0; j < n; ++j) {
      const int64_t i = index[j] + (index[j] < 0 ? back : 0);
      wrong |= static_cast<uint64_t>(i) >= static_cast<uint64_t>(size);
      offsets[j] =
          static_cast<int64_t>(  // which may overflow where it is wrong
              static_cast<uint64_t>(offsets[j]) +
              static_cast<uint64_t>(i) * static_cast<uint64_t>(step));
    }
    if (!wrong) continue;
    for (int64_t j = 0; j < n; ++j) {
      if (index[j] >= -back && index[j] < size) continue;
      c.report(kOutOfRange[a.dim], index[j], size);
      break;
    }
    return false;
  }
  return true;
}

bool Positions::check(OpCall& c) const {
  Positions p = *this;
  p.seek(0);
  int64_t offsets[kTile];
  for (int64_t i = 0, n; i < count(); i += n) {
    n = std::min(kTile, count() - i);
    if (!p.next(c, n, offsets)) return false;
  }
  return true;
}

}  // namespace ferrule::cpu
