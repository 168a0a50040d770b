// The log of the profiler.
#include "runtime/core/profile.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <utility>

#include "ferrule/error.h"
#include "ferrule/op.h"
#include "runtime/core/allocator.h"

namespace ferrule {
namespace {

int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

struct Log {
  std::mutex mutex;
  uint64_t number = 0;  // of the log that is, or was last
  int32_t threads = 0;
  ProfileLog log;
};
Log& current() {
  static auto* log = new Log;  // outlives every thread
  return *log;
}

// Of this thread, in the log of that number.
struct Here {
  uint64_t log = 0;
  int32_t thread = 0;
  int32_t innermost = -1;
};
thread_local constinit Here here;

// Copies the description of tensors to the end of the log.
uint32_t note(ProfileLog& log, const std::vector<const TensorImpl*>& tensors) {
  const auto at = static_cast<uint32_t>(log.tensors.size());
  for (const TensorImpl* t : tensors) {
    ProfiledTensor& p = log.tensors.emplace_back();
    p.dtype = t->dtype;
    p.ndim = t->ndim;
    std::copy(t->shape, t->shape + t->ndim, p.shape);
  }
  return at;
}

}  // namespace

void start_profile() {
  Log& l = current();
  std::lock_guard lock(l.mutex);
  if (profiling()) {
    fail<RuntimeError>(
        "[profile] a profile is being recorded already; there is one at a time "
        "for the whole process");
  }
  ++l.number;
  l.threads = 0;
  l.log = {};
  profile_detail::on.store(true, std::memory_order_relaxed);
}

ProfileLog stop_profile() {
  Log& l = current();
  std::lock_guard lock(l.mutex);
  if (!profiling()) return {};
  profile_detail::on.store(false, std::memory_order_relaxed);
  const int64_t end = now();
  for (ProfileEvent& e : l.log.events) {
    if (!e.end) e.end = end;
  }
  return std::exchange(l.log, {});
}

size_t profile_size() {
  Log& l = current();
  std::lock_guard lock(l.mutex);
  return l.log.events.size();
}

ProfileLog profile_since(size_t first) {
  Log& l = current();
  std::lock_guard lock(l.mutex);
  ProfileLog copy;
  const auto& events = l.log.events;
  if (first >= events.size()) return copy;
  copy.events.assign(events.begin() + static_cast<std::ptrdiff_t>(first),
                     events.end());
  copy.tensors = l.log.tensors;
  return copy;
}

void ProfileSpan::begin(std::string_view name, EventKind kind) {
  const char* const kept = intern(name);
  const int64_t memory = memory_stats().allocated;
  Log& l = current();
  std::lock_guard lock(l.mutex);
  if (!profiling()) return;
  if (here.log != l.number) here = {l.number, l.threads++, -1};
  log_ = l.number;
  parent_ = here.innermost;
  event_ = here.innermost = static_cast<int32_t>(l.log.events.size());
  ProfileEvent& e = l.log.events.emplace_back();
  e.name = kept;
  e.kind = kind;
  e.thread = here.thread;
  e.parent = parent_;
  e.memory_before = e.memory_after = memory;
  e.begin = now();
}

void ProfileSpan::inputs(const std::vector<const TensorImpl*>& tensors,
                         bool in_place) {
  Log& l = current();
  std::lock_guard lock(l.mutex);
  if (!log_ || !profiling() || l.number != log_) return;
  ProfileEvent& e = l.log.events[static_cast<size_t>(event_)];
  e.in_place = in_place;
  e.inputs_at = note(l.log, tensors);
  e.inputs = static_cast<uint32_t>(tensors.size());
  e.begin = now();  // writing this down is not the op's time
}

void ProfileSpan::finish(const std::vector<const TensorImpl*>& outputs) {
  if (!log_) return;
  const int64_t time = now();
  const int64_t memory = memory_stats().allocated;
  Log& l = current();
  std::lock_guard lock(l.mutex);
  if (here.log == log_) here.innermost = parent_;
  if (profiling() && l.number == log_) {
    ProfileEvent& e = l.log.events[static_cast<size_t>(event_)];
    e.end = time;
    e.memory_after = memory;
    e.outputs_at = note(l.log, outputs);
    e.outputs = static_cast<uint32_t>(outputs.size());
  }
  log_ = 0;
}

}  // namespace ferrule
