// CPU kernel of attention: a block of queries meets the keys block by block,
// and its softmax is kept up to date with the largest score seen so far.
#include "ferrule/op.h"
#include "runtime/cpu/attention_operands.h"
#include "runtime/cpu/slots.h"

namespace ferrule {
namespace cpu {
namespace {

// Multiply-adds worth a visit to another thread.
constexpr int64_t kUnitWork = 1 << 17;
constexpr double kLog2e = 1.44269504088896340736;

template <class T>
constexpr DType kType = sizeof(T) == 8 ? DType::f64 : DType::f32;

template <class T>
class Forward {
 public:
  explicit Forward(const OpCall& c)
      : s_(c, 0, 4),
        query_(c.in(0)),
        key_(c.in(1)),
        value_(c.in(2)),
        mask_(c, 3),
        slots_(s_.batch * s_.heads * blocks(), unit_bytes(),
               kUnitWork / std::max<int64_t>(
                               1, s_.block_rows() * s_.keys * s_.width)) {}

  int64_t scratch_bytes(const OpCall& c) const {
    int64_t bytes = slots_.total() + widened_bytes(c.out_impl());
    for (int i = 0; i < 4; ++i) {
      if (c.is_tensor(i)) bytes += Operand4<T>::copy_bytes(c.in(i));
    }
    return bytes;
  }

  void run(const OpCall& c) {
    char* scratch = static_cast<char*>(c.scratch);
    query_.place(c.in(0), scratch);
    key_.place(c.in(1), scratch);
    value_.place(c.in(2), scratch);
    if (c.is_tensor(3)) mask_.bytes.place(c.in(3), scratch);
    const Result4<T> out(c.out_impl(0), scratch);
    T* const logsumexp = c.out_impl(1).ptr<T>();
    slots_.each_unit(scratch, [&](int64_t unit, char* own) {
      attend(unit / blocks(), unit % blocks() * s_.block_rows(), out.data,
             logsumexp, own);
    });
    out.finish();
  }

 private:
  int64_t blocks() const { return blocks_of(s_.queries, s_.block_rows()); }

  // Scratch of a unit: scaled queries, scores, sums of rows, products'.
  int64_t query_bytes() const {
    return align64(kQueries * s_.width * static_cast<int64_t>(sizeof(T)));
  }
  static constexpr int64_t kScoreBytes = kQueries * kKeys * sizeof(T);
  static constexpr int64_t kSumBytes = kQueries * sizeof(T);
  int64_t unit_bytes() const {
    int64_t product = 0;
    each_block_size(s_, [&](int64_t rows, int64_t cols) {
      product = std::max(
          {product,
           gemm_scratch_bytes(scores(nullptr, nullptr, nullptr, cols)
                                  .of(rows, cols, s_.width)),
           gemm_scratch_bytes(values(nullptr, nullptr, nullptr, cols, true)
                                  .of(rows, s_.value_width, cols))});
    });
    return query_bytes() + kScoreBytes + kSumBytes + product;
  }

  BlockProduct<T> scores(const T* query, const T* key, T* to,
                         int64_t cols) const {
    return {{query, s_.width, 1}, key_.columns(key), to, cols, false};
  }
  BlockProduct<T> values(const T* share, const T* value, T* to, int64_t cols,
                         bool add) const {
    return {{share, cols, 1}, value_.rows(value), to, s_.value_width, add};
  }

  // Queries from q on of head `at` of all.
  void attend(int64_t at, int64_t q, T* all_out, T* all_logsumexp,
              char* scratch) const {
    const int64_t i = at / s_.heads;
    const int64_t head = at % s_.heads;
    const int64_t shared = head / s_.group();
    const int64_t rows = std::min(s_.block_rows(), s_.queries - q);
    T* const query = reinterpret_cast<T*>(scratch);
    T* const block = reinterpret_cast<T*>(scratch + query_bytes());
    T* const total = block + kQueries * kKeys;
    void* const product = total + kQueries;
    T* const out = all_out + (at * s_.queries + q) * s_.value_width;
    T* const top = all_logsumexp + at * s_.queries + q;

    FE_BEST(scale_rows)
    (rows, query_.at(i, head, q), query_.row(), s_.width, s_.scale * kLog2e,
     query, kType<T>);
    if (s_.keys == 0) std::fill_n(total, rows, T(0));
    const int64_t end = s_.keys_of(q);
    for (int64_t k = 0; k < end; k += kKeys) {
      const int64_t cols = std::min(kKeys, end - k);
      scores(query, key_.at(i, shared, k), block, cols)
          .run(rows, cols, s_.width, product);
      FE_BEST(softmax_step)
      ({block, rows, cols, s_.visible(q, k), mask_.at(i, head, q, k)}, k == 0,
       top, total, out, s_.value_width, kType<T>);
      values(block, value_.at(i, shared, k), out, cols, k > 0)
          .run(rows, s_.value_width, cols, product);
    }
    FE_BEST(softmax_end)(rows, top, total, out, s_.value_width, kType<T>);
  }

  AttentionSizes s_;
  Operand4<T> query_, key_, value_;
  Mask4 mask_;
  Slots slots_;
};

int64_t attention_scratch(const OpCall& c) {
  return by_float(c,
                  [&]<class T>(T) { return Forward<T>(c).scratch_bytes(c); });
}

void attention(OpCall& c) {
  by_float(c, [&]<class T>(T) { Forward<T>(c).run(c); });
}

}  // namespace
}  // namespace cpu

extern const KernelDef attention_cpu = {
    .name = "attention",
    .run = cpu::attention,
    .contiguous = false,
    .scratch = cpu::attention_scratch,
};

}  // namespace ferrule
