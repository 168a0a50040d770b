// Plane rotations of the rows of a matrix, gathered and applied many at a time:
// strip after strip of columns, which then stays in the caches, on all threads.
// Those that pass on a row to the next one are a sweep, and two sweeps that
// begin with the same row are applied together (F. Van Zee, R. van de Geijn and
// G. Quintana-Orti, "Restructuring the Tridiagonal and Bidiagonal QR Algorithms
// for Performance", 2014).
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
        angles_(arena.take<double>(2 * most_)),
        sweeps_(arena.take<Sweep>(most_)) {}

  void start(Rows<T> rows, int64_t n) {
    rows_ = rows;
    n_ = n;
  }

  // Rows x and y become c x + s y and c y - s x, now or later.
  void rotate(int64_t x, int64_t y, double c, double s) {
    if (sweep_count_ == 0 || x != next_ ||
        y - x != sweeps_[sweep_count_ - 1].step) {
      sweeps_[sweep_count_++] = {x, y - x, angles_ + 2 * count_, 0};
    }
    angles_[2 * count_] = c;
    angles_[2 * count_ + 1] = s;
    ++sweeps_[sweep_count_ - 1].count;
    next_ = y;
    if (++count_ == most_) finish();
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
        for (int64_t k = 0; k < sweep_count_; ++k) {
          const Sweep& one = sweeps_[k];
          const Sweep& next = sweeps_[std::min(k + 1, sweep_count_ - 1)];
          const bool two = k + 1 < sweep_count_ && next.first == one.first &&
                           next.step == one.step && next.count <= one.count;
          cpu::rotate(rows_[one.first] + at, one.step * rows_.row, width,
                      one.angles, one.count, next.angles, two ? next.count : 0);
          k += two;
        }
      }
    });
    count_ = sweep_count_ = 0;
  }

 private:
  struct Sweep {
    int64_t first, step;
    const double* angles;
    int64_t count;
  };
  int64_t most_;
  double* angles_;
  Sweep* sweeps_;
  int64_t count_ = 0, sweep_count_ = 0;
  int64_t next_ = 0;  // the row that the last rotation passes on
  Rows<T> rows_;
  int64_t n_ = 0;
};

}  // namespace ferrule::cpu
