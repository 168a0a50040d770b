// The random state, and the settings of the process.
#include "binding.h"
#include "ferrule/random.h"
#include "runtime/core/allocator.h"
#include "runtime/core/thread_pool.h"

namespace ferrule::python {

void bind_random(nb::module_& m) {
  m.def(
      "manual_seed", [](uint64_t seed) { manual_seed(seed); }, nb::arg("seed"),
      "Starts the random numbers anew: the same seed gives the same numbers, "
      "on every\ndevice and with any number of threads.");
  m.def(
      "get_rng_state",
      [] {
        RngState s = rng_state();
        return nb::make_tuple(s.seed, s.offset);
      },
      "The state of the random numbers, (seed, offset).");
  m.def(
      "set_rng_state",
      [](nb::tuple state) {
        if (state.size() != 2) {
          type_error("[set_rng_state] expected (seed, offset)");
        }
        set_rng_state(
            {nb::cast<uint64_t>(state[0]), nb::cast<uint64_t>(state[1])});
      },
      nb::arg("state"), "Takes a state that get_rng_state gave.");
  m.def(
      "set_num_threads",
      [](int n) {
        if (n < 1) {
          fail<ValueError>("[set_num_threads] needs at least 1, got ", n);
        }
        GilRelease released(true);
        set_num_threads(n);
      },
      nb::arg("n"),
      "Threads that one operation may use. Results do not depend on it.");
  m.def("get_num_threads", &num_threads, "Threads that one operation may use.");
  m.def(
      "memory_stats",
      [] {
        MemoryStats s = memory_stats();
        nb::dict d;
        d["allocated"] = s.allocated;
        d["cached"] = s.cached;
        d["peak"] = s.peak;
        return d;
      },
      "Bytes of CPU memory: allocated now, cached for reuse, highest so far.");
  m.def("empty_cache", &empty_cache, "Gives cached memory back to the system.");
}

}  // namespace ferrule::python
