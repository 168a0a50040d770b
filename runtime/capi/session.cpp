// Sessions behind the C ABI: running, state, saving.

#include "runtime/capi/handles.h"
#include "runtime/core/copy_bytes.h"

using namespace ferrule;
using namespace ferrule::capi;

namespace {

// Makes `t` a header over the caller's memory.
void wrap_input(Tensor& t, const fer_buffer& b, int32_t index) {
  const auto bad = [&](const auto&... parts) {
    fail<ValueError>("[fer_session_run] input ", index, ": ", parts...);
  };
  if (b.struct_size < sizeof b) bad("struct_size is not set");
  if (fer_dtype_size(b.dtype) == 0) bad("unknown dtype ", b.dtype);
  if (b.ndim < 0 || b.ndim > kMaxRank) {
    bad(b.ndim, " dimensions; at most ", kMaxRank, " are supported");
  }
  if (b.ndim > 0 && !b.shape) bad("shape is NULL");
  const std::span<const int64_t> shape(b.shape, static_cast<size_t>(b.ndim));
  const DType dtype = static_cast<DType>(b.dtype);
  const int64_t bytes = checked_numel(shape) * itemsize(dtype);
  if (b.size != static_cast<size_t>(bytes)) {
    bad(dtype, " ", shape, " has ", bytes, " bytes, the buffer has ", b.size);
  }
  if (!b.data && bytes) bad("data is NULL");
  if (!t) {
    t = Tensor::wrap(nullptr, {}, {}, DType::u8, {}, nullptr, nullptr);
  }
  t->dtype = dtype;
  t->set_contiguous(shape);
  t->storage->data = b.data;
  t->storage->nbytes = bytes;
}

// False: it does not fit the caller's buffer.
bool give_output(const Tensor& t, fer_buffer& b) {
  const size_t bytes = static_cast<size_t>(t->nbytes());
  const size_t room = b.size;
  b.dtype = static_cast<int32_t>(t.dtype());
  b.ndim = t.ndim();
  b.shape = t.shape().data();
  b.size = bytes;
  if (!b.data) {
    b.data = t->bytes();
    return true;
  }
  if (room < bytes) return false;
  copy_bytes(b.data, t->bytes(), t->nbytes());
  return true;
}

int required_state(fer_session session, const char* name, size_t size,
                   const char* where) {
  require(session, where, "session");
  require(name, where, "name");
  const Program& p = *session->program;
  const int i = p.constant_index(name);
  if (i < 0) {
    fail<ValueError>("[", where, "] the model has no state '", name, "'");
  }
  const Tensor& t = p.constants[i].data;
  if (size != static_cast<size_t>(t->nbytes())) {
    fail<ValueError>("[", where, "] '", name, "' is ", t.dtype(), " ",
                     t.shape(), " of ", t->nbytes(), " bytes, the buffer has ",
                     size);
  }
  return i;
}

}  // namespace

fer_status fer_session_create(fer_model model,
                              const fer_session_options* options,
                              fer_session* out) {
  return guard([&] {
    require(model, "fer_session_create", "model");
    require(out, "fer_session_create", "out");
    *out = nullptr;
    const fer_session_options given = options_or_default(options);
    SessionOptions o;
    o.max_memory = given.max_memory;
    o.max_steps = given.max_steps;
    if (given.max_plans > 0) o.max_plans = given.max_plans;
    if (given.passes) o.passes = given.passes;
    *out = new fer_session_s{model->program, Session(model->program, o), {}};
  });
}

void fer_session_free(fer_session session) { delete session; }

fer_status fer_session_run(fer_session session, const char* signature,
                           const fer_buffer* inputs, int32_t ninputs,
                           fer_buffer* outputs, int32_t noutputs) {
  bool fits = true;
  const fer_status status = guard([&] {
    require(session, "fer_session_run", "session");
    require(signature, "fer_session_run", "signature");
    if (ninputs < 0 || noutputs < 0) {
      fail<ValueError>("[fer_session_run] a negative number of buffers");
    }
    if (ninputs) require(inputs, "fer_session_run", "inputs");
    if (noutputs) require(outputs, "fer_session_run", "outputs");
    for (int32_t i = 0; i < noutputs; ++i) {
      if (outputs[i].struct_size < sizeof(fer_buffer)) {
        fail<ValueError>("[fer_session_run] output ", i,
                         ": struct_size is not set");
      }
    }
    session->inputs.resize(static_cast<size_t>(ninputs));
    for (int32_t i = 0; i < ninputs; ++i) {
      wrap_input(session->inputs[i], inputs[i], i);
    }
    const auto results = session->session.run(signature, session->inputs);
    if (static_cast<size_t>(noutputs) > results.size()) {
      fail<ValueError>("[", signature, "] has ", results.size(),
                       " results, asked for ", noutputs);
    }
    for (int32_t i = 0; i < noutputs; ++i) {
      fits &= give_output(results[i], outputs[i]);
    }
  });
  if (status != FER_OK || fits) return status;
  return remember_error(FER_ERROR_BUFFER,
                        "[fer_session_run] a result does not fit its buffer; "
                        "its size says how many bytes are needed");
}

fer_status fer_session_get_state(fer_session session, const char* name,
                                 void* data, size_t size) {
  return guard([&] {
    required_state(session, name, size, "fer_session_get_state");
    if (size) require(data, "fer_session_get_state", "data");
    const Tensor t = session->session.state(name);
    copy_bytes(data, t->bytes(), t->nbytes());
  });
}

fer_status fer_session_set_state(fer_session session, const char* name,
                                 const void* data, size_t size) {
  return guard([&] {
    const int i = required_state(session, name, size, "fer_session_set_state");
    if (size) require(data, "fer_session_set_state", "data");
    const Tensor& like = session->program->constants[i].data;
    session->session.set_state(
        name, Tensor::wrap(const_cast<void*>(data), like.shape(),
                           contiguous_strides(like.shape()), like.dtype(), {},
                           nullptr, nullptr));
  });
}

fer_status fer_session_get_rng(fer_session session, uint64_t* seed,
                               uint64_t* offset) {
  return guard([&] {
    require(session, "fer_session_get_rng", "session");
    const RngState state = session->session.rng();
    if (seed) *seed = state.seed;
    if (offset) *offset = state.offset;
  });
}

fer_status fer_session_set_rng(fer_session session, uint64_t seed,
                               uint64_t offset) {
  return guard([&] {
    require(session, "fer_session_set_rng", "session");
    session->session.set_rng({seed, offset});
  });
}

fer_status fer_session_check(fer_session session) {
  return guard([&] {
    require(session, "fer_session_check", "session");
    const std::string differs = session->session.check_goldens();
    if (!differs.empty()) {
      fail<RuntimeError>("[check] differs from the recorded result: ", differs);
    }
  });
}

fer_status fer_session_save(fer_session session, const char* path) {
  return guard([&] {
    require(session, "fer_session_save", "session");
    require(path, "fer_session_save", "path");
    session->session.save(path);
  });
}
