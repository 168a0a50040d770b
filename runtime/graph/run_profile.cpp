// Adds up and writes down what a session's watcher sees.
#include "ferrule/run_profile.h"

#include <algorithm>
#include <cstdio>

#include "runtime/core/json.h"

namespace ferrule {

void RunProfile::step(const RunStep& step) {
  const char* name = intern(step.name);
  if (events_.size() < kMaxEvents) {
    events_.push_back({name, intern(step.node.where), step.begin, step.end});
  }
  // The steps that one ran have ended before it.
  const size_t depth = static_cast<size_t>(step.depth);
  if (inside_.size() < depth + 2) inside_.resize(depth + 2);
  const int64_t time = step.end - step.begin;
  inside_[depth] += time;
  auto row = std::ranges::find(rows_, name, &Row::name);
  if (row == rows_.end()) row = rows_.insert(row, Row{name});
  ++row->calls;
  row->nanoseconds += time - inside_[depth + 1];
  inside_[depth + 1] = 0;
}

std::vector<RunProfile::Row> RunProfile::rows() const {
  std::vector<Row> rows = rows_;
  std::ranges::stable_sort(rows, std::greater<>(), &Row::nanoseconds);
  return rows;
}

std::string RunProfile::table() const {
  int64_t all = 0;
  for (const Row& r : rows_) all += r.nanoseconds;
  std::string out = " share      time ms   calls  op\n";
  for (const Row& r : rows()) {
    char line[64];
    const double share =
        all ? static_cast<double>(r.nanoseconds) / static_cast<double>(all) : 0;
    std::snprintf(line, sizeof line, "%5.1f%% %12.3f %7lld  ", 100 * share,
                  static_cast<double>(r.nanoseconds) / 1e6,
                  static_cast<long long>(r.calls));
    out += concat(line, r.name, "\n");
  }
  return out;
}

std::string RunProfile::trace() const {
  Json j;
  j.begin('{').key("displayTimeUnit").text("ns");
  j.key("traceEvents").begin('[');
  const int64_t start =
      events_.empty() ? 0 : std::ranges::min(events_, {}, &Event::begin).begin;
  for (const Event& e : events_) {
    j.begin('{').key("ph").text("X").key("name").text(e.name);
    j.key("pid").number(int64_t{0}).key("tid").number(int64_t{0});
    j.key("ts").number(static_cast<double>(e.begin - start) / 1000);
    j.key("dur").number(static_cast<double>(e.end - e.begin) / 1000);
    j.key("args").begin('{').key("where").text(e.where).end('}').end('}');
  }
  return j.end(']').end('}').str();
}

}  // namespace ferrule
