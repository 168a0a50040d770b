// The process and its machine: threads, memory, processor, checksums.
#include "binding.h"
#include "runtime/core/allocator.h"
#include "runtime/core/cpu_count.h"
#include "runtime/core/crc32c.h"
#include "runtime/core/thread_pool.h"
#include "runtime/cpu/isa.h"
#include "runtime/cpu/machine_limits.h"

namespace ferrule::python {

void bind_process(nb::module_& m) {
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
  m.def(
      "_machine_limits",
      [] {
        const cpu::MachineLimits limits = [] {
          GilRelease released(true);
          return cpu::machine_limits();
        }();
        nb::dict d;
        d["flops"] = limits.flops;
        d["read"] = limits.read;
        d["stream"] = limits.stream;
        return d;
      },
      "Measured now, a second: float32 operations, bytes read, bytes read and "
      "written. For tools/bench.");
  m.def(
      "_instruction_set", [] { return cpu::isa_name(cpu::isa()); },
      "The instruction set that kernels are chosen for, such as 'v4'.");
  m.def("_available_cpus", &available_cpus,
        "CPUs that this process may use, by affinity and cgroup.");
  m.def(
      "_crc32c",
      [](nb::bytes data) { return crc32c(data.data(), data.size()); },
      nb::arg("data"), "CRC32C (Castagnoli) of the bytes.");
  m.def("empty_cache", &empty_cache, "Gives cached memory back to the system.");
}

}  // namespace ferrule::python
