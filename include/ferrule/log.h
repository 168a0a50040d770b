// What the runtime has to tell besides results and errors: plans that it makes,
// weights that it copies, settings that it cannot follow.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "ferrule/error.h"

namespace ferrule {

enum class LogLevel : int32_t { info, warning };

// Called on the thread that logs, one call at a time. `text` is one line and
// ends with a NUL. Must not throw, nor call set_log.
using LogFunction = void (*)(void* user, int32_t level, const char* text);

// From now on messages go to `function`; null: warnings go to the standard
// error output, the rest nowhere. Waits for a call in progress.
void set_log(LogFunction function, void* user) noexcept;

namespace log_detail {
inline std::atomic<bool> wanted{false};  // is there a function?
void write(LogLevel level, const char* text) noexcept;
}  // namespace log_detail

// The text is made only where somebody reads it.
template <class... Parts>
void log_info(const Parts&... parts) {
  if (!log_detail::wanted.load(std::memory_order_relaxed)) return;
  log_detail::write(LogLevel::info, concat(parts...).c_str());
}
template <class... Parts>
void log_warning(const Parts&... parts) {
  log_detail::write(LogLevel::warning, concat(parts...).c_str());
}

}  // namespace ferrule
