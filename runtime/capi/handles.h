// What stands behind the opaque handles of ferrule.h, and the guard that keeps
// exceptions on this side.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ferrule/ferrule.h"
#include "ferrule/run_profile.h"
#include "ferrule/session.h"

namespace ferrule::capi {

// Shape and names as a fer_value_info shows them.
struct ValueInfo {
  const char* name;
  DType dtype;
  bool trainable = false;
  std::vector<int64_t> shape;
  std::vector<const char*> symbols;
};

struct SignatureInfo {
  const Signature* signature;
  std::vector<ValueInfo> inputs, outputs;
};

// Remembers the error that is being handled; call it in a catch block.
fer_status remember_error() noexcept;
fer_status remember_error(fer_status status, const char* text) noexcept;

template <class F>
fer_status guard(const F& f) noexcept {
  try {
    f();
    return FER_OK;
  } catch (...) {
    return remember_error();
  }
}

// Throws ValueError "[where] what is NULL".
void require(const void* p, const char* where, const char* what);

// The caller's struct, with zeros for what an older header did not have.
template <class T>
T options_or_default(const T* given) {
  T out = {};
  if (!given) return out;
  const size_t size =
      given->struct_size < sizeof(T) ? given->struct_size : sizeof(T);
  __builtin_memcpy(&out, given, size);
  return out;
}

}  // namespace ferrule::capi

struct fer_model_s {
  std::shared_ptr<const ferrule::Program> program;
  std::vector<ferrule::capi::SignatureInfo> signatures;
  std::vector<ferrule::capi::ValueInfo> state;
};

struct fer_session_s {
  std::shared_ptr<const ferrule::Program> program;
  ferrule::Session session;
  // Headers over the caller's inputs, kept so that a run allocates nothing.
  std::vector<ferrule::Tensor> inputs;
  // What watches the session.
  std::unique_ptr<ferrule::RunWatcher> function;
  std::unique_ptr<ferrule::RunWatcher> profile;  // a RunProfile
  std::string table;
};
