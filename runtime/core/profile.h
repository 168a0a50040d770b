// A log of what the process does and when: ops, backward nodes, spans that the
// user names. One log at a time, for all threads; off, it costs a load and a
// branch where an event might begin.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

#include "ferrule/tensor.h"

namespace ferrule {

enum class EventKind : uint8_t { op, backward, user };

// Shape and dtype of an argument or a result.
struct ProfiledTensor {
  DType dtype;
  int ndim;
  int64_t shape[kMaxRank];
};

struct ProfileEvent {
  const char* name;  // interned
  EventKind kind;
  bool in_place = false;
  int32_t thread = 0;   // 0: the first that logged, and so on
  int32_t parent = -1;  // the event of this thread that this one is part of
  int64_t begin = 0;    // nanoseconds of the steady clock
  int64_t end = 0;      // 0: has not ended
  int64_t memory_before = 0, memory_after = 0;  // bytes in live blocks
  uint32_t inputs_at = 0, inputs = 0;           // in ProfileLog::tensors
  uint32_t outputs_at = 0, outputs = 0;
};

struct ProfileLog {
  std::vector<ProfileEvent> events;  // those of a thread as they began
  std::vector<ProfiledTensor> tensors;
};

namespace profile_detail {
inline std::atomic<bool> on{false};
}

inline bool profiling() {
  return profile_detail::on.load(std::memory_order_relaxed);
}

// Throws when there is a log already.
void start_profile();
// Ends the log and returns it; empty if there is none. Events that have not
// ended are taken to end now.
ProfileLog stop_profile();
// How many events there are, and a copy of those from number `first` on.
size_t profile_size();
ProfileLog profile_since(size_t first);

// One event, from construction to destruction. Does nothing without a log, and
// nothing at its end if its log ended meanwhile. Both happen on one thread.
class ProfileSpan {
 public:
  ProfileSpan() = default;
  ProfileSpan(std::string_view name, EventKind kind) {
    if (profiling()) [[unlikely]]
      begin(name, kind);
  }
  ProfileSpan(const ProfileSpan&) = delete;
  ~ProfileSpan() {
    if (log_) finish({});
  }

  void begin(std::string_view name, EventKind kind);
  void inputs(const std::vector<const TensorImpl*>& tensors, bool in_place);
  void finish(const std::vector<const TensorImpl*>& outputs);

 private:
  uint64_t log_ = 0;  // its number; 0: none
  int32_t event_ = -1;
  int32_t parent_ = -1;
};

}  // namespace ferrule
