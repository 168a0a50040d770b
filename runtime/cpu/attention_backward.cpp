// CPU kernel of attention's gradient: probabilities are made anew, block by
// block, from the scores and their saved logsumexp.
//
// A unit is one head of the keys, or some of its blocks where there are few
// heads. It alone writes the gradients of its keys and values. Those of queries
// are summed over the blocks of keys; several parts of a head have sums of
// their own, which are added in order at the end.
#include "ferrule/op.h"
#include "runtime/cpu/attention_operands.h"
#include "runtime/cpu/slots.h"

namespace ferrule {
namespace cpu {
namespace {

// Heads that are enough for all threads; fewer are taken apart.
constexpr int64_t kEnoughUnits = 16;
constexpr double kLog2e = 1.44269504088896340736;

template <class T>
constexpr DType kType = sizeof(T) == 8 ? DType::f64 : DType::f32;

template <class T>
class Backward {
 public:
  explicit Backward(const OpCall& c)
      : s_(c, 1, 7),
        grad_(c.in(0)),
        query_(c.in(1)),
        key_(c.in(2)),
        value_(c.in(3)),
        out_(c.in(4)),
        logsumexp_(c.in(5)),
        mask_(c, 6),
        parts_(parts_of(s_)),
        slots_(s_.batch * s_.shared * parts_, unit_bytes()) {
    if (c.is_tensor(9)) logsumexp_grad_ = Operand4<T>(c.in(9));
  }

  int64_t scratch_bytes(const OpCall& c) const {
    int64_t bytes = slots_.total() + (parts_ - 1) * query_grad_bytes();
    for (int i = 0; i < 10; ++i) {
      if (c.is_tensor(i)) bytes += Operand4<T>::copy_bytes(c.in(i));
    }
    for (int i = 0; i < 3; ++i) bytes += widened_bytes(c.out_impl(i));
    return bytes;
  }

  void run(const OpCall& c) {
    char* scratch = static_cast<char*>(c.scratch);
    grad_.place(c.in(0), scratch);
    query_.place(c.in(1), scratch);
    key_.place(c.in(2), scratch);
    value_.place(c.in(3), scratch);
    out_.place(c.in(4), scratch);
    logsumexp_.place(c.in(5), scratch);
    if (c.is_tensor(6)) mask_.bytes.place(c.in(6), scratch);
    if (c.is_tensor(9)) logsumexp_grad_.place(c.in(9), scratch);
    const Result4<T> query_grad(c.out_impl(0), scratch);
    const Result4<T> key_grad(c.out_impl(1), scratch);
    const Result4<T> value_grad(c.out_impl(2), scratch);
    query_grad_ = query_grad.data;
    key_grad_ = key_grad.data;
    value_grad_ = value_grad.data;
    other_parts_ = reinterpret_cast<T*>(scratch);
    scratch += (parts_ - 1) * query_grad_bytes();
    slots_.each_unit(scratch, [&](int64_t unit, char* own) {
      differentiate(unit / parts_, unit % parts_, own);
    });
    add_parts();
    query_grad.finish();
    key_grad.finish();
    value_grad.finish();
  }

 private:
  static int64_t parts_of(const AttentionSizes& s) {
    const int64_t heads = std::max<int64_t>(1, s.batch * s.shared);
    const int64_t blocks = std::max<int64_t>(1, blocks_of(s.keys, kKeys));
    return std::min((kEnoughUnits + heads - 1) / heads, blocks);
  }
  int64_t query_grad_numel() const {
    return s_.batch * s_.heads * s_.queries * s_.width;
  }
  int64_t query_grad_bytes() const {
    return align64(query_grad_numel() * static_cast<int64_t>(sizeof(T)));
  }

  // Scratch of a unit: offsets of all rows, scaled keys, two blocks of scores,
  // products'.
  int64_t offset_bytes() const {
    return align64(s_.group() * s_.queries * static_cast<int64_t>(sizeof(T)));
  }
  int64_t key_bytes() const {
    return align64(kKeys * s_.width * static_cast<int64_t>(sizeof(T)));
  }
  static constexpr int64_t kScores = kQueries * kKeys;
  int64_t unit_bytes() const {
    int64_t most = 0;
    each_block_size(s_, [&](int64_t rows, int64_t cols) {
      for (int i = 0; i < 5; ++i) {
        most = std::max(most, gemm_scratch_bytes(product({}, i, rows, cols)));
      }
    });
    return offset_bytes() + key_bytes() +
           2 * kScores * static_cast<int64_t>(sizeof(T)) + most;
  }

  // The operands of one block of scores, and the results they add to.
  struct Block {
    const T *query, *grad, *key, *scaled_key, *value;
    T *query_grad, *key_grad, *value_grad;
    T *share, *slope;  // P and dS, dense
  };

  // The five products of a block: two before the softmax, three after it.
  Gemm<T> product(const Block& b, int i, int64_t rows, int64_t cols) const {
    const int64_t e = s_.width;
    const int64_t ev = s_.value_width;
    const MatrixView<T> keys{b.scaled_key, 1, e};
    const MatrixView<T> slope{b.slope, cols, 1};
    const MatrixView<T> slope_t{b.slope, 1, cols};
    const MatrixView<T> share_t{b.share, 1, cols};
    const BlockProduct<T> p[] = {
        {query_.rows(b.query), keys, b.share, cols, false},
        {grad_.rows(b.grad), value_.columns(b.value), b.slope, cols, false},
        {share_t, grad_.rows(b.grad), b.value_grad, ev, true},
        {slope_t, query_.rows(b.query), b.key_grad, e, true},
        {slope, key_.rows(b.key), b.query_grad, e, true}};
    const int64_t m[] = {rows, rows, cols, cols, rows};
    const int64_t n[] = {cols, cols, ev, e, e};
    const int64_t k[] = {e, ev, rows, rows, cols};
    return p[i].of(m[i], n[i], k[i]);
  }

  // Head `at` of the keys of all batches, one part of its blocks.
  void differentiate(int64_t at, int64_t part, char* scratch) const {
    const int64_t i = at / s_.shared;
    const int64_t first = at % s_.shared * s_.group();  // head of the queries
    T* const offsets = reinterpret_cast<T*>(scratch);
    T* const scaled = reinterpret_cast<T*>(scratch + offset_bytes());
    Block b{};
    b.scaled_key = scaled;
    b.share = reinterpret_cast<T*>(scratch + offset_bytes() + key_bytes());
    b.slope = b.share + kScores;
    void* const product_scratch = b.slope + kScores;

    T* const query_grad =
        (part == 0 ? query_grad_
                   : other_parts_ + (part - 1) * query_grad_bytes() /
                                        static_cast<int64_t>(sizeof(T))) +
        (i * s_.heads + first) * s_.queries * s_.width;
    std::fill_n(query_grad, s_.group() * s_.queries * s_.width, T(0));
    for (int64_t h = 0; h < s_.group(); ++h) {
      make_offsets(i, first + h, offsets + h * s_.queries);
    }

    const int64_t blocks = blocks_of(s_.keys, kKeys);
    const int64_t end = std::min(s_.keys, (part + 1) * blocks / parts_ * kKeys);
    for (int64_t k = part * blocks / parts_ * kKeys; k < end; k += kKeys) {
      const int64_t keys = std::min(kKeys, s_.keys - k);
      b.key = key_.at(i, at % s_.shared, k);
      b.value = value_.at(i, at % s_.shared, k);
      b.key_grad = key_grad_ + (at * s_.keys + k) * s_.width;
      b.value_grad = value_grad_ + (at * s_.keys + k) * s_.value_width;
      std::fill_n(b.key_grad, keys * s_.width, T(0));
      std::fill_n(b.value_grad, keys * s_.value_width, T(0));
      FE_BEST(scale_rows)
      (keys, b.key, key_.row(), s_.width, s_.scale * kLog2e, scaled, kType<T>);
      const int64_t rows = s_.block_rows();
      // Earlier queries see none of these keys.
      const int64_t start = s_.causal ? k / rows * rows : 0;
      for (int64_t h = 0; h < s_.group(); ++h) {
        for (int64_t q = start; q < s_.queries; q += rows) {
          b.query = query_.at(i, first + h, q);
          b.grad = grad_.at(i, first + h, q);
          b.query_grad = query_grad + (h * s_.queries + q) * s_.width;
          const int64_t m = std::min(rows, s_.queries - q);
          const int64_t cols = std::min(keys, s_.keys_of(q) - k);
          const ScoreBlock scores{b.share, m, cols, s_.visible(q, k),
                                  mask_.at(i, first + h, q, k)};
          for (int p = 0; p < 2; ++p) {
            gemm(product(b, p, m, cols), product_scratch);
          }
          FE_BEST(softmax_slope)
          (scores, logsumexp_.at(i, first + h, q), offsets + h * s_.queries + q,
           b.slope, s_.scale, kType<T>);
          for (int p = 2; p < 5; ++p) {
            gemm(product(b, p, m, cols), product_scratch);
          }
        }
      }
    }
  }

  // scale * (rowsum(dO O) - dlogsumexp): what is taken from dO V^T.
  void make_offsets(int64_t i, int64_t head, T* to) const {
    FE_BEST(row_dots)
    (s_.queries, grad_.at(i, head, 0), grad_.row(), out_.at(i, head, 0),
     out_.row(), s_.value_width, s_.scale, to, kType<T>);
    if (logsumexp_grad_.data == nullptr) return;
    const T* grad = logsumexp_grad_.at(i, head, 0);
    for (int64_t r = 0; r < s_.queries; ++r) {
      to[r] -= static_cast<T>(s_.scale) * grad[r];
    }
  }

  void add_parts() const {
    if (parts_ == 1) return;
    const int64_t n = query_grad_numel();
    const int64_t step = query_grad_bytes() / static_cast<int64_t>(sizeof(T));
    parallel_for(n, 1 << 15, [&](int64_t begin, int64_t end) {
      for (int64_t p = 0; p + 1 < parts_; ++p) {
        const T* part = other_parts_ + p * step;
        for (int64_t e = begin; e < end; ++e) query_grad_[e] += part[e];
      }
    });
  }

  AttentionSizes s_;
  Operand4<T> grad_, query_, key_, value_, out_, logsumexp_, logsumexp_grad_;
  Mask4 mask_;
  T *query_grad_ = nullptr, *key_grad_ = nullptr, *value_grad_ = nullptr;
  T* other_parts_ = nullptr;
  int64_t parts_;
  Slots slots_;
};

int64_t attention_backward_scratch(const OpCall& c) {
  return by_float(c,
                  [&]<class T>(T) { return Backward<T>(c).scratch_bytes(c); });
}

void attention_backward(OpCall& c) {
  by_float(c, [&]<class T>(T) { Backward<T>(c).run(c); });
}

}  // namespace
}  // namespace cpu

extern const KernelDef attention_backward_cpu = {
    .name = "attention_backward",
    .run = cpu::attention_backward,
    .contiguous = false,
    .scratch = cpu::attention_backward_scratch,
};

}  // namespace ferrule
