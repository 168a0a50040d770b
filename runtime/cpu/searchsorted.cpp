// The kernel of searchsorted: binary search, NaN being the largest number.
#include <algorithm>
#include <string_view>

#include "ferrule/op.h"
#include "runtime/core/thread_pool.h"
#include "runtime/cpu/rows.h"

namespace ferrule::cpu {
namespace {

constexpr int64_t kGrain = 2048;  // searches worth a thread

// Exact for every pair of dtypes but int64 with floats.
DType search_type(const OpCall& c) {
  return is_float(c.compute) ? DType::f64 : DType::i64;
}

template <class T>
bool less(T a, T b) {
  return a < b || (b != b && a == a);
}

// The first place in `sorted` whose element is not less than `value`; or, with
// `right`, is greater. at(i) is the i-th element in order.
template <class T, class At>
int64_t search(const At& at, int64_t n, T value, bool right) {
  int64_t low = 0, high = n;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    const T here = at(middle);
    const bool before = right ? !less(value, here) : less(here, value);
    (before ? low : high) = before ? middle + 1 : middle;
  }
  return low;
}

template <class T>
void search_as(OpCall& c) {
  const TensorImpl &sequence = c.in(0), &out = c.out_impl();
  char* room = static_cast<char*>(c.scratch);
  const T* sorted = nullptr;
  if (sequence.numel > 0) {
    sorted =
        static_cast<const T*>(dense_values(sequence, search_type(c), room));
  }
  room += align64(sequence.numel * 8);
  T number;
  const T* values = &number;
  if (c.is_tensor(1)) {
    values = static_cast<const T*>(dense_values(c.in(1), search_type(c), room));
  } else {
    fill_number(c.args[1], search_type(c), &number, 1);
  }
  const int64_t n = sequence.shape[sequence.ndim - 1];
  // How many values search the same line of the sequence.
  const int64_t share = sequence.ndim > 1 ? out.shape[out.ndim - 1] : out.numel;
  const bool right = c.b(3) || (c.has(4) && c.str(4) == "right");
  const int64_t* sorter = nullptr;
  if (c.has(5)) {
    sorter = c.in(5).ptr<int64_t>();
    for (int64_t i = 0; i < sequence.numel; ++i) {
      if (sorter[i] >= 0 && sorter[i] < n) continue;
      return c.report("sorter has index {}, which is out of range; valid: "
                      "0..{}",
                      sorter[i], n - 1);
    }
  }
  parallel_for(out.numel, kGrain, [&](int64_t i, int64_t end) {
    for (; i < end; ++i) {
      const int64_t line = i / share * n;
      const auto at = [&](int64_t k) {
        return sorted[line + (sorter ? sorter[line + k] : k)];
      };
      const int64_t place = search(at, n, values[i], right);
      if (out.dtype == DType::i32) {
        out.ptr<int32_t>()[i] = static_cast<int32_t>(place);
      } else {
        out.ptr<int64_t>()[i] = place;
      }
    }
  });
}

void searchsorted(OpCall& c) {
  if (search_type(c) == DType::f64) {
    search_as<double>(c);
  } else {
    search_as<int64_t>(c);
  }
}

int64_t searchsorted_scratch(const OpCall& c) {
  return align64(c.in(0).numel * 8) + align64(c.out_impl().numel * 8);
}

}  // namespace
}  // namespace ferrule::cpu

namespace ferrule {

extern const KernelDef searchsorted_cpu = {
    .name = "searchsorted",
    .run = cpu::searchsorted,
    .scratch = cpu::searchsorted_scratch,
};

}  // namespace ferrule
