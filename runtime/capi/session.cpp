// Sessions behind the C ABI: running, state, saving.
#include <algorithm>

#include "runtime/capi/handles.h"
#include "runtime/core/built.h"
#include "runtime/core/copy_bytes.h"
#include "runtime/format/file_out.h"

using namespace ferrule;
using namespace ferrule::capi;

namespace {

// Makes `t` a header over the caller's memory, or (`with_data` false) of what
// will lie there.
void wrap_input(Tensor& t, const fer_buffer& b, int32_t index,
                const char* where, bool with_data) {
  const auto bad = [&](const auto&... parts) {
    fail<ValueError>("[", where, "] input ", index, ": ", parts...);
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
  if (with_data && b.size != static_cast<size_t>(bytes)) {
    bad(dtype, " ", shape, " has ", bytes, " bytes, the buffer has ", b.size);
  }
  if (with_data && !b.data && bytes) bad("data is NULL");
  if (!t) {
    t = Tensor::wrap(nullptr, {}, {}, DType::u8, {}, nullptr, nullptr);
  }
  t->dtype = dtype;
  t->set_contiguous(shape);
  t->storage->data = b.data;
  t->storage->nbytes = bytes;
}

void wrap_inputs(fer_session session, const fer_buffer* inputs, int32_t n,
                 const char* where, bool with_data) {
  if (n < 0) fail<ValueError>("[", where, "] a negative number of buffers");
  if (n) require(inputs, where, "inputs");
  session->inputs.resize(static_cast<size_t>(n));
  for (int32_t i = 0; i < n; ++i) {
    wrap_input(session->inputs[i], inputs[i], i, where, with_data);
  }
}

// Hands steps to a function of the program.
class FunctionWatcher final : public RunWatcher {
 public:
  FunctionWatcher(fer_step_function function, void* user)
      : function_(function), user_(user) {}
  void step(const RunStep& s) override {
    const fer_step step = {sizeof step,          s.depth, s.name,
                           s.node.where.c_str(), s.begin, s.end};
    function_(user_, &step);
  }

 private:
  fer_step_function function_;
  void* user_;
};

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
    *out = new fer_session_s{model->program, Session(model->program, o)};
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
    if (noutputs < 0) {
      fail<ValueError>("[fer_session_run] a negative number of buffers");
    }
    if (noutputs) require(outputs, "fer_session_run", "outputs");
    for (int32_t i = 0; i < noutputs; ++i) {
      if (outputs[i].struct_size < sizeof(fer_buffer)) {
        fail<ValueError>("[fer_session_run] output ", i,
                         ": struct_size is not set");
      }
    }
    wrap_inputs(session, inputs, ninputs, "fer_session_run", true);
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

void fer_session_cancel(fer_session session) {
  if (session) session->session.cancel();
}

fer_status fer_session_prepare(fer_session session, const char* signature,
                               const fer_buffer* inputs, int32_t ninputs,
                               fer_run_cost* out) {
  return guard([&] {
    require(session, "fer_session_prepare", "session");
    require(signature, "fer_session_prepare", "signature");
    require(out, "fer_session_prepare", "out");
    wrap_inputs(session, inputs, ninputs, "fer_session_prepare", false);
    const RunCost cost = session->session.prepare(signature, session->inputs);
    const fer_run_cost all = {out->struct_size, cost.nodes, cost.arena_bytes,
                              cost.scratch_bytes};
    std::memcpy(out, &all, std::min<size_t>(out->struct_size, sizeof all));
  });
}

fer_status fer_session_watch(fer_session session, fer_step_function function,
                             void* user) {
  return guard([&] {
    require(session, "fer_session_watch", "session");
    std::unique_ptr<RunWatcher> watcher;
    if (function) watcher = std::make_unique<FunctionWatcher>(function, user);
    session->session.watch(watcher.get());
    session->function = std::move(watcher);
  });
}

fer_status fer_session_start_profile(fer_session session) {
  return guard([&] {
    require(session, "fer_session_start_profile", "session");
    if constexpr (kSmall) {
      fail<RuntimeError>("[fer_session_start_profile] this runtime was built ",
                         "without profiles (FERRULE_SMALL)");
    }
    auto profile = std::make_unique<RunProfile>();
    session->session.watch(profile.get());
    session->profile = std::move(profile);
  });
}

fer_status fer_session_stop_profile(fer_session session, const char* trace_path,
                                    const char** table) {
  return guard([&] {
    require(session, "fer_session_stop_profile", "session");
    if (!session->profile) {
      fail<ValueError>("[fer_session_stop_profile] no profile was started");
    }
    if constexpr (kSmall) return;  // there is none
    const auto watcher = std::move(session->profile);
    session->session.watch(session->function.get());
    const auto& profile = static_cast<const RunProfile&>(*watcher);
    session->table = profile.table();
    if (table) *table = session->table.c_str();
    if (!trace_path) return;
    const std::string trace = profile.trace();
    FileOut file(trace_path);
    file.write(trace.data(), trace.size());
    file.commit();
  });
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
