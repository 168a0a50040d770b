// How many CPUs this process may really use.
#pragma once

namespace ferrule {

// The CPUs in the affinity mask, or fewer where a cgroup (v1 or v2) grants
// less CPU time than that. At least 1.
int available_cpus();

}  // namespace ferrule
