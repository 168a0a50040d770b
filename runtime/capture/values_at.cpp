// Sizes of a captured graph for other sizes of its inputs: whether a decision
// of the program that was captured holds for them, too.
#include <algorithm>

#include "ferrule/capture.h"
#include "runtime/graph/bound_graph.h"
#include "runtime/graph/exprs.h"

namespace ferrule {

namespace {

// Calls f(graph, bound) where the graph runs at these sizes.
template <class F>
bool bind(const Program& program, std::string_view key,
          std::span<const int64_t> symbols, const F& f) {
  const Signature* s = program.find(key);
  if (!s) fail<ValueError>("[capture] no signature '", key, "'");
  const Graph& g = program.graphs[s->graph];
  std::vector<Tensor> inputs, constants;
  std::vector<TensorImpl*> impls;
  for (const Constant& c : program.constants) constants.push_back(c.data);
  try {
    for (int32_t id : g.inputs) {
      const Value& v = g.values[id];
      Dims shape;
      for (const DimSpec& d : v.dims) {
        shape.push(d.symbol < 0 ? d.value
                                : symbols[static_cast<size_t>(d.symbol)]);
      }
      Tensor t = Tensor::adopt(new_impl());  // no memory
      t->dtype = v.dtype;
      t->set_contiguous(shape);
      impls.push_back(t.impl());
      inputs.push_back(std::move(t));
    }
    const std::vector<int64_t> sizes(symbols.begin(), symbols.end());
    Nesting nesting;
    f(g, BoundGraph(program, g, impls, constants, sizes, nesting));
    return true;
  } catch (const Error&) {
    return false;
  }
}

// Sizes that differ from symbol to symbol; the `trial`-th such choice.
std::vector<int64_t> distinct_sizes(const Program& program, int64_t trial) {
  std::vector<int64_t> sizes;
  for (const Symbol& s : program.symbols) {
    const auto i = static_cast<int64_t>(sizes.size());
    if (s.of >= 0) {
      sizes.push_back(s.factor * sizes[static_cast<size_t>(s.of)] + s.offset);
      continue;
    }
    const int64_t n = s.min + 11 + 24 * trial + 5 * i;
    sizes.push_back(std::min((n + s.multiple - 1) / s.multiple * s.multiple,
                             s.max / s.multiple * s.multiple));
  }
  return sizes;
}

}  // namespace

std::vector<int64_t> values_at(const Program& program, std::string_view key,
                               std::span<const int32_t> exprs,
                               std::span<const int64_t> symbols) {
  std::vector<int64_t> values;
  bind(program, key, symbols, [&](const Graph& g, const BoundGraph& bound) {
    ExprValues value_of(g.exprs, bound.impls);
    for (int32_t e : exprs) values.push_back(value_of(e));
  });
  return values.size() == exprs.size() ? values : std::vector<int64_t>();
}

std::vector<std::vector<int64_t>> known_sizes(const Program& program,
                                              std::string_view key) {
  constexpr int64_t kTrials = 3;
  // What the sizes of each dimension can still be; the first trial says.
  std::vector<std::vector<int64_t>> known;
  for (int64_t trial = 0; trial < kTrials; ++trial) {
    const std::vector<int64_t> sizes = distinct_sizes(program, trial);
    const auto look = [&](const Graph&, const BoundGraph& bound) {
      const bool first = known.empty();
      known.resize(bound.impls.size());
      for (size_t v = 0; v < known.size(); ++v) {
        if (!bound.impls[v]) continue;
        const TensorImpl& t = *bound.impls[v];
        if (first) known[v].assign(t.sizes().begin(), t.sizes().end());
        for (size_t d = 0; d < known[v].size(); ++d) {
          int64_t& k = known[v][d];
          const int64_t now = t.shape[d];
          if (first) {
            const auto at = std::ranges::find(sizes, now);
            if (at != sizes.end()) k = -2 - (at - sizes.begin());
          } else if (k <= -2 ? sizes[static_cast<size_t>(-2 - k)] != now
                             : k != now) {
            k = -1;
          }
        }
      }
    };
    if (!bind(program, key, sizes, look)) return {};
  }
  return known;
}

}  // namespace ferrule
