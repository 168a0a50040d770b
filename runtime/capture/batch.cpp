// What batching rules are made of, and the rules that many ops share.
#include <algorithm>
#include <string_view>

#include "ferrule/batch.h"
#include "ferrule/capture.h"
#include "ferrule/ops.h"

namespace ferrule {

Int Batch::dim(int i, int d) const {
  return size_of(in[i].tensor.impl(), d + in[i].batched);
}

IntList Batch::sizes(int i) const {
  IntList l;
  for (int d = 0; d < ndim(i); ++d) l.push(dim(i, d));
  return l;
}

Tensor Batch::whole(const Batched& t) const {
  if (t.batched) return t.tensor;
  IntList shape{size};
  for (const Int n : sizes_of(t.tensor.impl())) shape.push(n);
  return op::expand(t.tensor, shape);
}

Tensor Batch::aligned(const Batched& t, int to) const {
  const int n = t.tensor.ndim() - t.batched;
  if (!t.batched || n == to) return t.tensor;
  IntList shape{size};
  while (shape.n - 1 < to - n) shape.push(1);
  for (int d = 1; d <= n; ++d) shape.push(size_of(t.tensor.impl(), d));
  return op::reshape(t.tensor, shape);
}

Tensor Batch::within(int i, int d) const {
  IntList order, shape;
  for (int k = 0; k < ndim(i); ++k) {
    if (k == d) order.push(0);
    order.push(k + 1);
    shape.push(k == d ? dim(i, k) * size : dim(i, k));
  }
  const Tensor t = whole(i);
  return op::reshape(d == 0 ? t : op::permute(t, order), shape);
}

Tensor Batch::apart(const Tensor& t, int d) const {
  IntList shape, order{d};
  for (int k = 0; k < t.ndim(); ++k) {
    const Int n = size_of(t.impl(), k);
    if (k == d) shape.push(size);
    shape.push(k == d ? n / size : n);
    order.push(k < d ? k : k + 1);
  }
  const Tensor split = op::reshape(t, shape);
  return d == 0 ? split : op::permute(split, order);
}

template <class Call>
Results Batch::with_arguments(const Call& call) const {
  Arg given[kMaxArgs];
  std::vector<TensorImpl*> lists[kMaxArgs];
  const int n = info.schema.n;
  for (int i = 0; i < n; ++i) {
    given[i] = args[i];
    if (args[i].tag == ArgTag::tensor) given[i] = Arg(in[i].tensor);
    if (args[i].tag == ArgTag::ints) given[i] = std::span<const Int>(ints[i]);
    if (args[i].tag == ArgTag::tensors) {
      for (const Batched& t : list[i]) lists[i].push_back(t.tensor.impl());
      given[i] = std::span<TensorImpl* const>(lists[i]);
    }
  }
  return call(given, n);
}

Results Batch::run() const {
  return with_arguments(
      [&](const Arg* given, int n) { return info.op->call(given, n); });
}

Results Batch::decomposed() const {
  return with_arguments([&](const Arg* given, int n) {
    OpCall c(*info.op);
    c.bind(given, n);
    c.device = Capture::current()->device();
    return info.op->decompose(c);
  });
}

// --- shared rules -----------------------------------------------------------

Results batch_elementwise(Batch& b) {
  int ndim = 0;
  for (int i = 0; i < b.info.schema.n; ++i) {
    if (b.has(i)) ndim = std::max(ndim, b.ndim(i));
  }
  for (int i = 0; i < b.info.schema.n; ++i) {
    if (!b.has(i)) continue;
    // Some want all tensors to have one shape.
    b.in[i].tensor = b.ndim(i) == ndim ? b.whole(i) : b.aligned(i, ndim);
  }
  return b.run();
}

Results batch_leading(Batch& b) {
  for (int i = 0; i < b.info.schema.n; ++i) {
    if (b.has(i)) b.set(i, b.whole(i));
  }
  return b.run();
}

namespace {

bool counts_dimensions(std::string_view name) {
  return name.starts_with("dim");
}
bool is_shape(std::string_view name) {
  return name == "size" || name == "shape" || name == "input_size";
}

// With the samples in front; a 0-d sample has one element in dimension 0.
Tensor with_dimension(const Batch& b, const Batched& t) {
  const Tensor whole = b.whole(t);
  return whole.ndim() > 1 ? whole : op::reshape(whole, IntList{b.size, 1});
}

}  // namespace

Results batch_dims(Batch& b) {
  const Schema& s = b.info.schema;
  int ndim = 1;
  for (int i = 0; i < s.n; ++i) {
    if (b.has(i)) {
      ndim = std::max(1, b.ndim(i));
      b.set(i, with_dimension(b, b.in[i]));
    }
    for (Batched& t : b.list[i]) {
      if (t.tensor) t = {with_dimension(b, t), true};
    }
  }
  for (int i = 0; i < s.n; ++i) {
    const Param& p = s.params[i];
    if (p.kind == ParamKind::ints && is_shape(p.name)) {
      b.ints[i].insert(b.ints[i].begin(), b.size);
    }
    if (!counts_dimensions(p.name)) continue;
    if (p.kind == ParamKind::int_) {
      if (b.args[i].is_none()) {
        // Of all elements, as one row.
        b.set(0, op::reshape(b.in[0].tensor, IntList{b.size, -1}));
        b.args[i] = Arg(1);
      } else {
        b.args[i] = Arg(shifted(Int(b.args[i].i, b.args[i].n)));
      }
    } else if (p.kind == ParamKind::ints) {
      for (Int& d : b.ints[i]) d = shifted(d);
      if (b.ints[i].empty() && p.optional) {
        for (int d = 1; d <= ndim; ++d) b.ints[i].push_back(d);
        b.args[i].tag = ArgTag::ints;
      }
    }
  }
  return b.run();
}

Results batch_first_dim(Batch& b) {
  const Schema& s = b.info.schema;
  for (int i = 0; i < s.n; ++i) {
    if (b.has(i)) b.set(i, b.within(i, 0));
    if (s.params[i].name == "input_size") b.ints[i][0] = b.ints[i][0] * b.size;
  }
  return b.run();
}

}  // namespace ferrule
