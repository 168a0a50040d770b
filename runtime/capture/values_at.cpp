// Sizes of a captured graph for other sizes of its inputs: whether a decision
// of the program that was captured holds for them, too.
#include "ferrule/capture.h"
#include "runtime/graph/bound_graph.h"
#include "runtime/graph/exprs.h"

namespace ferrule {

std::vector<int64_t> values_at(const Program& program, std::string_view key,
                               std::span<const int32_t> exprs,
                               std::span<const int64_t> symbols) {
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
    const BoundGraph bound(program, g, impls, constants, sizes, nesting);
    ExprValues value_of(g.exprs, bound.impls);
    std::vector<int64_t> values;
    for (int32_t e : exprs) values.push_back(value_of(e));
    return values;
  } catch (const Error&) {
    return {};
  }
}

}  // namespace ferrule
