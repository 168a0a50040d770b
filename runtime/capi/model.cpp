// Models behind the C ABI: opening, and what they contain.
#include <algorithm>
#include <cstring>

#include "runtime/capi/handles.h"

using namespace ferrule;
using namespace ferrule::capi;

namespace {

ValueInfo describe(const Program& p, const Value& v, const std::string& name) {
  ValueInfo info{name.c_str(), v.dtype, false, {}, {}};
  for (const DimSpec& d : v.dims) {
    info.shape.push_back(d.fixed ? d.value : -1);
    info.symbols.push_back(d.symbol < 0 ? nullptr
                                        : p.symbols[d.symbol].name.c_str());
  }
  return info;
}

fer_model make_model(std::shared_ptr<const Program> program) {
  auto model = std::make_unique<fer_model_s>();
  const Program& p = *program;
  for (const Signature& s : p.signatures) {
    SignatureInfo& info = model->signatures.emplace_back();
    info.signature = &s;
    const Graph& g = p.graphs[s.graph];
    for (size_t i = 0; i < g.inputs.size(); ++i) {
      info.inputs.push_back(describe(p, g.values[g.inputs[i]], s.inputs[i]));
    }
    for (size_t i = 0; i < g.outputs.size(); ++i) {
      info.outputs.push_back(describe(p, g.values[g.outputs[i]], s.outputs[i]));
    }
  }
  for (const Constant& c : p.constants) {
    ValueInfo& info = model->state.emplace_back();
    info.name = c.name.c_str();
    info.dtype = c.data.dtype();
    info.trainable = c.trainable;
    info.shape.assign(c.data.shape().begin(), c.data.shape().end());
    info.symbols.resize(info.shape.size());
  }
  model->program = std::move(program);
  return model.release();
}

const SignatureInfo* find(fer_model model, const char* signature) {
  if (!model || !signature) return nullptr;
  for (const SignatureInfo& s : model->signatures) {
    if (s.signature->key == signature) return &s;
  }
  return nullptr;
}

void fill(const std::vector<ValueInfo>& list, int32_t index,
          fer_value_info* out, const char* where) {
  require(out, where, "out");
  if (index < 0 || static_cast<size_t>(index) >= list.size()) {
    fail<IndexError>("[", where, "] index ", index, " of ", list.size());
  }
  const ValueInfo& v = list[index];
  fer_value_info info = {};
  info.struct_size = out->struct_size;
  info.dtype = static_cast<int32_t>(v.dtype);
  info.name = v.name;
  info.ndim = static_cast<int32_t>(v.shape.size());
  info.trainable = v.trainable;
  info.shape = v.shape.data();
  info.symbols = v.symbols.data();
  std::memcpy(out, &info, std::min<size_t>(out->struct_size, sizeof info));
}

const SignatureInfo& required(fer_model model, const char* signature,
                              const char* where) {
  require(model, where, "model");
  require(signature, where, "signature");
  const SignatureInfo* s = find(model, signature);
  if (!s) fail<ValueError>("[", where, "] no signature '", signature, "'");
  return *s;
}

Verify verify_of(const fer_open_options* options) {
  return options_or_default(options).verify_full ? Verify::full : Verify::quick;
}

}  // namespace

fer_status fer_model_open(const char* path, const fer_open_options* options,
                          fer_model* out) {
  return guard([&] {
    require(path, "fer_model_open", "path");
    require(out, "fer_model_open", "out");
    *out = nullptr;
    *out = make_model(open_program(path, verify_of(options)));
  });
}

fer_status fer_model_load(const void* data, size_t size,
                          const fer_open_options* options, fer_model* out) {
  return guard([&] {
    require(data, "fer_model_load", "data");
    require(out, "fer_model_load", "out");
    *out = nullptr;
    *out = make_model(load_program({static_cast<const std::byte*>(data), size},
                                   verify_of(options)));
  });
}

void fer_model_free(fer_model model) { delete model; }

int32_t fer_model_signature_count(fer_model model) {
  return model ? static_cast<int32_t>(model->signatures.size()) : 0;
}

const char* fer_model_signature(fer_model model, int32_t index) {
  if (index < 0 || index >= fer_model_signature_count(model)) return nullptr;
  return model->signatures[index].signature->key.c_str();
}

int32_t fer_model_input_count(fer_model model, const char* signature) {
  const SignatureInfo* s = find(model, signature);
  return s ? static_cast<int32_t>(s->inputs.size()) : -1;
}

int32_t fer_model_output_count(fer_model model, const char* signature) {
  const SignatureInfo* s = find(model, signature);
  return s ? static_cast<int32_t>(s->outputs.size()) : -1;
}

fer_status fer_model_input(fer_model model, const char* signature,
                           int32_t index, fer_value_info* out) {
  return guard([&] {
    fill(required(model, signature, "fer_model_input").inputs, index, out,
         "fer_model_input");
  });
}

fer_status fer_model_output(fer_model model, const char* signature,
                            int32_t index, fer_value_info* out) {
  return guard([&] {
    fill(required(model, signature, "fer_model_output").outputs, index, out,
         "fer_model_output");
  });
}

int32_t fer_model_state_count(fer_model model) {
  return model ? static_cast<int32_t>(model->state.size()) : 0;
}

fer_status fer_model_state(fer_model model, int32_t index,
                           fer_value_info* out) {
  return guard([&] {
    require(model, "fer_model_state", "model");
    fill(model->state, index, out, "fer_model_state");
  });
}

const char* fer_model_metadata(fer_model model, const char* key) {
  if (!model || !key) return nullptr;
  for (const auto& [k, v] : model->program->metadata) {
    if (k == key) return v.c_str();
  }
  return nullptr;
}
