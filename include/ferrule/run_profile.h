// RunProfile: where the time of a session's runs goes.
//
//   RunProfile profile;
//   session.watch(&profile);
//   for (int i = 0; i < 100; ++i) session.run("forward", inputs);
//   session.watch(nullptr);
//   std::puts(profile.table().c_str());
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ferrule/session.h"

namespace ferrule {

class RunProfile final : public RunWatcher {
 public:
  // What steps of one name took together. The time of control flow is without
  // that of the steps that it ran.
  struct Row {
    const char* name;  // interned
    int64_t calls = 0;
    int64_t nanoseconds = 0;
  };

  void step(const RunStep& step) override;

  std::vector<Row> rows() const;  // the longest first
  // The rows as text: share, time, calls, name.
  std::string table() const;
  // All steps, the first kMaxEvents of them, as JSON that Perfetto and
  // chrome://tracing show on a line of time.
  std::string trace() const;

  static constexpr size_t kMaxEvents = 1'000'000;

 private:
  struct Event {
    const char* name;   // interned
    const char* where;  // interned
    int64_t begin, end;
  };
  std::vector<Event> events_;
  std::vector<Row> rows_;
  std::vector<int64_t> inside_;  // time of finished steps, by depth
};

}  // namespace ferrule
