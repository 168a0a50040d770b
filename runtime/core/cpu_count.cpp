// Reads the affinity mask and the CPU quota of every enclosing cgroup.
#include "runtime/core/cpu_count.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>

#include "runtime/core/built.h"

#ifdef __linux__
#include <sched.h>
#endif

namespace ferrule {
namespace {

#ifdef __linux__

int affinity_cpus() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 0;
  return CPU_COUNT(&set);
}

std::string first_line(const std::string& path) {
  std::string line;
  std::ifstream file(path);
  std::getline(file, line);
  return line;
}

// CPUs granted by `quota` microseconds in each `period`; 0 if unlimited.
int quota_cpus(long long quota, long long period) {
  if (quota <= 0 || period <= 0) return 0;
  return static_cast<int>(std::min(1LL << 20, (quota + period - 1) / period));
}

// cgroup v2: "200000 100000", or "max 100000" without a limit.
int quota_v2(const std::string& directory) {
  long long quota = 0;
  long long period = 0;
  std::string line = first_line(directory + "/cpu.max");
  if (std::sscanf(line.c_str(), "%lld %lld", &quota, &period) != 2) return 0;
  return quota_cpus(quota, period);
}

// cgroup v1: one number a file, quota -1 without a limit.
int quota_v1(const std::string& directory) {
  long long quota = 0;
  long long period = 0;
  std::string quota_line = first_line(directory + "/cpu.cfs_quota_us");
  std::string period_line = first_line(directory + "/cpu.cfs_period_us");
  if (std::sscanf(quota_line.c_str(), "%lld", &quota) != 1) return 0;
  if (std::sscanf(period_line.c_str(), "%lld", &period) != 1) return 0;
  return quota_cpus(quota, period);
}

// Lowers `cpus` to the smallest quota from `path` up to the root of `mount`.
// A container may see a path that is not mounted in it: missing files grant
// everything, and the root is always looked at.
void limit(int& cpus, const std::string& mount, std::string path,
           int (*quota)(const std::string&)) {
  for (;;) {
    if (int granted = quota(mount + path)) cpus = std::min(cpus, granted);
    size_t slash = path.rfind('/');
    if (path.empty() || slash == std::string::npos) return;
    path.resize(slash);
  }
}

// Lines of /proc/self/cgroup are "id:controllers:path"; v2 is "0::path".
void limit_by_cgroups(int& cpus) {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    size_t first = line.find(':');
    if (first == std::string::npos) continue;
    size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::string controllers = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      limit(cpus, "/sys/fs/cgroup", path, quota_v2);
    } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      limit(cpus, "/sys/fs/cgroup/" + controllers, path, quota_v1);
      limit(cpus, "/sys/fs/cgroup/cpu", path, quota_v1);
    }
  }
}

#endif

}  // namespace

int available_cpus() {
  int cpus = static_cast<int>(std::thread::hardware_concurrency());
#ifdef __linux__
  if (int allowed = affinity_cpus()) cpus = allowed;
  cpus = std::max(cpus, 1);
  // Small devices have no containers.
  if constexpr (!kSmall) limit_by_cgroups(cpus);
#endif
  return std::max(cpus, 1);
}

}  // namespace ferrule
