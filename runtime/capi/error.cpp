// Errors and the library's own functions.
#include <algorithm>
#include <new>

#include "ferrule/log.h"
#include "runtime/capi/handles.h"
#include "runtime/core/thread_pool.h"

namespace ferrule::capi {
namespace {

thread_local std::string last_error;

fer_status status_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::shape:
      return FER_ERROR_SHAPE;
    case ErrorKind::dtype:
      return FER_ERROR_DTYPE;
    case ErrorKind::value:
      return FER_ERROR_VALUE;
    case ErrorKind::index:
      return FER_ERROR_INDEX;
    case ErrorKind::device:
      return FER_ERROR_DEVICE;
    case ErrorKind::format:
      return FER_ERROR_FORMAT;
    case ErrorKind::memory:
      return FER_ERROR_MEMORY;
    case ErrorKind::runtime:
    case ErrorKind::autograd:
      break;
  }
  return FER_ERROR_RUNTIME;
}

}  // namespace

fer_status remember_error(fer_status status, const char* text) noexcept {
  try {
    last_error = text;
  } catch (...) {
    last_error.clear();
  }
  return status;
}

fer_status remember_error() noexcept {
  try {
    throw;
  } catch (const CancelledError& e) {
    return remember_error(FER_ERROR_CANCELLED, e.what());
  } catch (const Error& e) {
    return remember_error(status_of(e.kind()), e.what());
  } catch (const std::bad_alloc&) {
    return remember_error(FER_ERROR_MEMORY, "out of memory");
  } catch (const std::exception& e) {
    return remember_error(FER_ERROR_RUNTIME, e.what());
  } catch (...) {
    return remember_error(FER_ERROR_RUNTIME, "unknown error");
  }
}

void require(const void* p, const char* where, const char* what) {
  if (!p) fail<ValueError>("[", where, "] ", what, " is NULL");
}

}  // namespace ferrule::capi

using namespace ferrule;

const char* fer_version(void) { return FERRULE_VERSION; }

const char* fer_last_error(void) { return capi::last_error.c_str(); }

void fer_set_log(fer_log_function function, void* user) {
  set_log(function, user);
}

void fer_set_num_threads(int32_t n) {
  capi::guard([&] { set_num_threads(n); });
}

int32_t fer_num_threads(void) {
  int32_t n = 1;
  capi::guard([&] { n = num_threads(); });
  return n;
}

fer_status fer_set_thread_pool(const fer_thread_pool* pool) {
  return capi::guard([&] {
    const fer_thread_pool given = capi::options_or_default(pool);
    if (pool && !given.run) {
      fail<ValueError>("[fer_set_thread_pool] run is NULL");
    }
    set_host_pool({given.threads, given.user, given.run});
  });
}

size_t fer_dtype_size(int32_t dtype) {
  if (dtype < 0 || dtype >= kDTypeCount) return 0;
  return static_cast<size_t>(itemsize(static_cast<DType>(dtype)));
}
