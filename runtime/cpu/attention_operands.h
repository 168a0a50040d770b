// Operands and sizes of attention, as its kernel and that of its gradient take
// them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "runtime/cpu/attention.h"
#include "runtime/cpu/gemm.h"
#include "runtime/cpu/operands.h"

namespace ferrule::cpu {

// A four-dimensional operand in the type of the arithmetic.
template <class T>
struct Operand4 {
  T* data = nullptr;
  int64_t step[4] = {};  // 0 where the size is 1

  Operand4() = default;
  // Where the elements lie; `place` says in what memory.
  explicit Operand4(const TensorImpl& t) {
    const Dims steps =
        copy_bytes(t) > 0 ? contiguous_strides(t.sizes()) : Dims(t.steps());
    for (int d = 0; d < t.ndim; ++d) step[d] = t.shape[d] == 1 ? 0 : steps[d];
  }

  // The tensor's, or that of a dense copy, which is taken from scratch.
  void place(const TensorImpl& t, char*& scratch) {
    const int64_t bytes = copy_bytes(t);
    data = bytes > 0 ? reinterpret_cast<T*>(scratch) : t.ptr<T>();
    if (bytes > 0) widen(t, compute_type(t.dtype), scratch);
    scratch += bytes;
  }

  // Kernels read along rows; only their own dtype and dense rows are taken as
  // they are, and bools.
  static int64_t copy_bytes(const TensorImpl& t) {
    if (t.dtype == DType::bool_) return 0;
    const DType as = compute_type(t.dtype);
    const bool rows =
        t.ndim == 0 || t.shape[t.ndim - 1] == 1 || t.strides[t.ndim - 1] == 1;
    return as == t.dtype && rows ? 0 : align64(t.numel * itemsize(as));
  }

  T* at(int64_t i, int64_t j, int64_t row) const {
    return data + i * step[0] + j * step[1] + row * step[2];
  }
  int64_t row() const { return step[2]; }
  // As a matrix of rows from `from` on, and transposed.
  MatrixView<T> rows(const T* from) const { return {from, step[2], 1}; }
  MatrixView<T> columns(const T* from) const { return {from, 1, step[2]}; }
};

// A result in the type of the arithmetic: its own memory or scratch.
template <class T>
struct Result4 {
  const TensorImpl* tensor = nullptr;
  T* data = nullptr;

  Result4(const TensorImpl& t, char*& scratch) : tensor(&t) {
    const int64_t bytes = widened_bytes(t);
    data = bytes > 0 ? reinterpret_cast<T*>(scratch) : t.ptr<T>();
    scratch += bytes;
  }
  void finish() const {
    if (widened_bytes(*tensor) == 0) return;
    convert_dense(tensor->bytes(), tensor->dtype, data,
                  compute_type(tensor->dtype), tensor->numel);
  }
};

// Blocks of scores have kQueries rows, for every product packs its keys anew,
// and so many columns that the block and what it is made of stay in the
// second-level cache. Short causal ones have fewer rows, since what lies above
// the diagonal of a block is computed in vain: about an eighth of the queries,
// but no fewer than kCausalQueries. Where keys are hidden from earlier queries
// a block has whole multiples of its rows as columns.
inline constexpr int64_t kQueries = 128;
inline constexpr int64_t kCausalQueries = 32;
inline constexpr int64_t kKeys = 256;

// Sizes of a call, from query, key, value.
struct AttentionSizes {
  int64_t batch, heads, shared, queries, keys, width, value_width;
  bool causal;
  double scale;

  AttentionSizes(const OpCall& c, int query, int is_causal)
      : batch(c.in(query).shape[0]),
        heads(c.in(query).shape[1]),
        shared(c.in(query + 1).shape[1]),
        queries(c.in(query).shape[2]),
        keys(c.in(query + 1).shape[2]),
        width(c.in(query).shape[3]),
        value_width(c.in(query + 2).shape[3]),
        causal(c.b(is_causal)),
        scale(c.has(is_causal + 1) ? c.f(is_causal + 1)
              : width > 0          ? 1 / std::sqrt(static_cast<double>(width))
                                   : 1) {}

  int64_t group() const { return shared > 0 ? heads / shared : 1; }
  int64_t block_rows() const {
    int64_t rows = causal ? kCausalQueries : kQueries;
    while (rows < kQueries && 8 * rows < queries) rows *= 2;
    return rows;
  }
  // Keys that a block of queries from q on has to do with.
  int64_t keys_of(int64_t q) const {
    return causal ? std::min(keys, q + block_rows()) : keys;
  }
  // See ScoreBlock.
  int64_t visible(int64_t q, int64_t k) const {
    return causal ? q + 1 - k : keys;
  }
};

// The mask, in bytes: bools, or numbers of the arithmetic's type.
struct Mask4 {
  Operand4<char> bytes;
  int64_t itemsize = 1;
  bool boolean = false;

  explicit Mask4(const OpCall& c, int arg) {
    if (!c.is_tensor(arg)) return;
    const DType t = c.in(arg).dtype;
    boolean = t == DType::bool_;
    itemsize = boolean ? 1 : ferrule::itemsize(compute_type(t));
    bytes = Operand4<char>(c.in(arg));
  }

  MaskBlock at(int64_t i, int64_t j, int64_t row, int64_t col) const {
    if (bytes.data == nullptr) return {};
    const int64_t* step = bytes.step;
    const int64_t offset =
        i * step[0] + j * step[1] + row * step[2] + col * step[3];
    return {bytes.data + offset * itemsize, step[2], step[3], boolean};
  }
};

// c = a b, or c += a b, of blocks in the cache.
template <class T>
struct BlockProduct {
  MatrixView<T> a;
  MatrixView<T> b;
  T* c;
  int64_t c_row;
  bool accumulate;

  Gemm<T> of(int64_t m, int64_t n, int64_t k) const {
    return {.m = m,
            .n = n,
            .k = k,
            .a = a,
            .b = b,
            .c = c,
            .c_row = c_row,
            .accumulate = accumulate};
  }
  void run(int64_t m, int64_t n, int64_t k, void* scratch) const {
    gemm(of(m, n, k), scratch);
  }
};

inline int64_t blocks_of(int64_t n, int64_t size) {
  return (n + size - 1) / size;
}

// Calls visit(rows, cols) for every size that a block of scores may have.
template <class Visit>
void each_block_size(const AttentionSizes& s, const Visit& visit) {
  const int64_t most = s.block_rows();
  const auto rows = [&](int64_t cols) {
    visit(std::min(s.queries, most), cols);
    if (s.queries % most != 0) visit(s.queries % most, cols);
  };
  if (s.keys >= kKeys) rows(kKeys);
  if (s.keys % kKeys != 0) rows(s.keys % kKeys);
  for (int64_t n = most; s.causal && n < kKeys; n += most) rows(n);
}

}  // namespace ferrule::cpu
