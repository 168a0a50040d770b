// Where messages go.
#include "ferrule/log.h"

#include <cstdio>
#include <mutex>

namespace ferrule {
namespace {

constinit std::mutex mutex;
LogFunction function = nullptr;
void* user = nullptr;

}  // namespace

void set_log(LogFunction to, void* with) noexcept {
  std::lock_guard lock(mutex);
  function = to;
  user = with;
  log_detail::wanted.store(to != nullptr, std::memory_order_relaxed);
}

void log_detail::write(LogLevel level, const char* text) noexcept {
  std::lock_guard lock(mutex);
  if (function) {
    function(user, static_cast<int32_t>(level), text);
  } else if (level == LogLevel::warning) {
    std::fprintf(stderr, "ferrule: %s\n", text);
  }
}

}  // namespace ferrule
