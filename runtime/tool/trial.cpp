// Makes inputs.
#include "runtime/tool/trial.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "runtime/cpu/strided_copy.h"
#include "runtime/graph/bound_graph.h"

namespace ferrule::tool {
namespace {

const Value& input_value(const Program& p, const Signature& s, size_t i) {
  const Graph& g = p.graphs[s.graph];
  return g.values[g.inputs[i]];
}

// The first of the signature, or null.
const Golden* sample_of(const Program& p, const Signature& s) {
  const auto at = std::ranges::find(p.goldens, s.key, &Golden::signature);
  return at == p.goldens.end() ? nullptr : &*at;
}

// Calls visit(symbol) for those of the inputs, each once.
template <class Visit>
void each_symbol(const Program& p, const Signature& s, const Visit& visit) {
  std::vector<bool> seen(p.symbols.size());
  for (size_t i = 0; i < s.inputs.size(); ++i) {
    for (const DimSpec& d : input_value(p, s, i).dims) {
      if (d.symbol < 0 || seen[d.symbol]) continue;
      seen[d.symbol] = true;
      visit(static_cast<size_t>(d.symbol));
    }
  }
}

// "2,3,224,224" or "2x3x224x224"
Dims parse_shape(const std::string& name, std::string_view text) {
  Dims shape;
  while (true) {
    int64_t size = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), size);
    const size_t used = static_cast<size_t>(end - text.data());
    const bool more = used < text.size();
    if (error != std::errc() || size < 0 || shape.size() == kMaxRank ||
        (more && text[used] != ',' && text[used] != 'x')) {
      throw UsageError{concat("--shape ", name, ": takes up to ", kMaxRank,
                              " sizes, such as ", name, "=2,3,224,224")};
    }
    shape.push(size);
    if (!more) return shape;
    text.remove_prefix(used + 1);
  }
}

Tensor drawn(DType dtype, const Dims& shape) {
  Tensor t = Tensor::empty(shape, DType::f32);
  uint32_t state = 1;
  for (int64_t i = 0; i < t.numel(); ++i) {
    state = state * 1664525u + 1013904223u;  // Numerical Recipes
    const bool is_real = is_float(dtype) || is_complex(dtype);
    t.data<float>()[i] =
        is_real ? static_cast<float>(state >> 8) / 16777216.0f : 0;
  }
  if (dtype == DType::f32) return t;
  Tensor out = Tensor::empty(shape, dtype);
  strided_copy(*t.impl(), *out.impl());
  return out;
}

// Repeated or cut along every dimension.
Tensor fitted(const Tensor& t, const Dims& shape) {
  if (std::ranges::equal(t.shape(), shape)) return t;
  Tensor out = Tensor::empty(shape, t.dtype());
  const auto bytes = static_cast<size_t>(itemsize(t.dtype()));
  std::vector<int64_t> at(shape.size());
  for (int64_t i = 0; i < out.numel(); ++i) {
    int64_t from = 0;
    for (size_t d = 0; d < at.size(); ++d) {
      from += at[d] % t.shape()[d] * t.strides()[d];
    }
    std::memcpy(out->bytes() + i * static_cast<int64_t>(bytes),
                t->bytes() + from * static_cast<int64_t>(bytes), bytes);
    for (size_t d = at.size(); d-- > 0 && ++at[d] == shape[d];) at[d] = 0;
  }
  return out;
}

}  // namespace

SymbolSizes sizes_asked_for(const Program& p, const Signature& s,
                            const Args& args) {
  SymbolSizes sizes(p.symbols.size());
  const Golden* sample = sample_of(p, s);
  for (size_t i = 0; i < s.inputs.size(); ++i) {
    const auto& dims = input_value(p, s, i).dims;
    for (size_t d = 0; d < dims.size(); ++d) {
      if (dims[d].symbol < 0) continue;
      sizes[dims[d].symbol] =
          sample ? sample->inputs[i].shape()[d] : dims[d].value;
    }
  }
  for (auto& [given, text] : args.pairs("--shape")) {
    const std::string name =
        given.empty() && s.inputs.size() == 1 ? s.inputs[0] : given;
    const auto at = std::ranges::find(s.inputs, name);
    if (at == s.inputs.end()) {
      throw UsageError{concat("--shape ", name, "=", text, ": '", s.key,
                              "' has no such input")};
    }
    const Value& v =
        input_value(p, s, static_cast<size_t>(at - s.inputs.begin()));
    const Dims shape = parse_shape(name, text);
    bool fits = std::cmp_equal(shape.size(), v.dims.size());
    for (size_t d = 0; fits && d < v.dims.size(); ++d) {
      const int symbol = v.dims[d].symbol;
      if (symbol >= 0) sizes[symbol] = shape[d];
      fits = symbol >= 0 || v.dims[d].value == shape[d];
    }
    if (!fits) {
      throw UsageError{concat("--shape ", name, "=", text, ": the input is ",
                              declared_shape(p, v))};
    }
  }
  return sizes;
}

std::vector<SymbolSizes> other_sizes(const Program& p, const Signature& s,
                                     const SymbolSizes& sizes, size_t count) {
  std::vector<SymbolSizes> out(count, sizes);
  each_symbol(p, s, [&](size_t k) {
    const Symbol& symbol = p.symbols[k];
    size_t found = 0;
    for (int64_t n : {5, 3, 2, 7, 1}) {
      const int64_t size = n * symbol.multiple;
      const bool fits =
          size >= symbol.min && size <= symbol.max && size != sizes[k];
      if (fits && found < count) out[found++][k] = size;
    }
    // A range of large sizes: those that are next to the sample's.
    for (int64_t n : {1, -1, 2}) {
      const int64_t size = sizes[k] + n * symbol.multiple;
      if (size >= symbol.min && size <= symbol.max && found < count) {
        out[found++][k] = size;
      }
    }
  });
  std::erase(out, sizes);
  return out;
}

std::vector<Tensor> trial_inputs(const Program& p, const Signature& s,
                                 const SymbolSizes& sizes) {
  const Golden* sample = sample_of(p, s);
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < s.inputs.size(); ++i) {
    const Value& v = input_value(p, s, i);
    Dims shape;
    for (const DimSpec& d : v.dims) {
      shape.push(d.symbol < 0 ? d.value : sizes[d.symbol]);
    }
    checked_numel(shape);
    const bool usable = sample && sample->inputs[i].numel() > 0;
    inputs.push_back(usable ? fitted(sample->inputs[i], shape)
                            : drawn(v.dtype, shape));
  }
  return inputs;
}

std::vector<Tensor> chosen_inputs(const Program& p, const Signature& s,
                                  const Args& args) {
  if (!args.has("--input")) {
    return trial_inputs(p, s, sizes_asked_for(p, s, args));
  }
  if (args.has("--shape"))
    throw UsageError{"give --input or --shape, not both"};
  return read_inputs(p, s, args);
}

std::string sizes_text(const Program& p, const Signature& s,
                       const SymbolSizes& sizes) {
  std::string out;
  each_symbol(p, s, [&](size_t k) {
    out += concat(out.empty() ? "" : ", ", p.symbols[k].name, " = ", sizes[k]);
  });
  return out;
}

}  // namespace ferrule::tool
