// Plane rotations of the rows of a matrix, gathered and applied many at a time:
// strip after strip of columns, which then stays in the caches, on all threads.
// Those that pass on a row to the next one are applied together.
#pragma once

#include "runtime/core/thread_pool.h"
#include "runtime/cpu/linalg.h"

namespace ferrule::cpu {

template <class T>
class Rotations {
 public:
  // Of a matrix of n columns, set by `start`.
  Rotations(Arena& arena, int64_t n)
      : most_(std::clamp<int64_t>(8 * n, 64, 4096)),
        waiting_(arena.take<Rotation>(most_)) {}

  void start(Rows<T> rows, int64_t n) {
    rows_ = rows;
    n_ = n;
  }

  // Rows x and y become c x + s y and c y - s x, now or later.
  void rotate(int64_t x, int64_t y, double c, double s) {
    waiting_[count_++] = {x, y, c, s};
    if (count_ == most_) finish();
  }

  // Applies those that wait.
  void finish() {
    constexpr int64_t kStrip = 32;
    const int64_t strips = (n_ + kStrip - 1) / kStrip;
    const int64_t work = std::max<int64_t>(1, count_ * kStrip);
    parallel_for(strips, (1 << 15) / work, [&](int64_t strip, int64_t end) {
      for (; strip < end; ++strip) {
        const int64_t at = strip * kStrip;
        const int64_t width = std::min(kStrip, n_ - at);
        for (int64_t r = 0, next = 0; r < count_; r = next) {
          const Rotation& first = waiting_[r];
          const int64_t step = first.y - first.x;
          for (next = r + 1; next < count_; ++next) {
            const Rotation& by = waiting_[next];
            if (by.x != waiting_[next - 1].y || by.y - by.x != step) break;
          }
          cpu::rotate(rows_[first.x] + at, step * rows_.row, width, &first.c,
                      static_cast<int64_t>(sizeof(Rotation) / sizeof(double)),
                      next - r);
        }
      }
    });
    count_ = 0;
  }

 private:
  struct Rotation {
    int64_t x, y;
    double c, s;
  };
  int64_t most_;
  Rotation* waiting_;
  int64_t count_ = 0;
  Rows<T> rows_;
  int64_t n_ = 0;
};

}  // namespace ferrule::cpu
