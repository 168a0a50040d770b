// What a command shows while it works: one line that is rewritten on a
// terminal, a line now and then elsewhere, all on the standard error output.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <string>

#include "runtime/tool/commands.h"

namespace ferrule::tool {

class Progress {
 public:
  explicit Progress(bool quiet)
      : quiet_(quiet), terminal_(::isatty(STDERR_FILENO)) {}

  // Is it time for a line? Ask before making the text.
  bool due(bool last = false) {
    if (quiet_) return false;
    const double now = seconds();
    if (!last && now - shown_ < (terminal_ ? 0.1 : 10.0)) return false;
    shown_ = now;
    return true;
  }
  void show(const std::string& text, bool last = false) const {
    std::fprintf(stderr, "%s%s%s", terminal_ ? "\r\033[K" : "", text.c_str(),
                 terminal_ && !last ? "" : "\n");
  }
  // Takes the line away; what comes next is the result.
  void clear() const {
    if (!quiet_ && terminal_) std::fputs("\r\033[K", stderr);
  }
  double elapsed() const { return seconds() - start_; }

 private:
  bool quiet_, terminal_;
  double start_ = seconds(), shown_ = start_;
};

}  // namespace ferrule::tool
