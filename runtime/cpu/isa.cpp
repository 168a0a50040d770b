// Detects the instruction set once, by the compiler's own CPU model: it knows
// what the operating system saves, too.
#include "runtime/cpu/isa.h"

#include <cstdlib>
#include <cstring>

#include "ferrule/log.h"
#include "runtime/core/built.h"
#include "runtime/cpu/choose_isa.h"

#if defined(__x86_64__) && __has_include(<sys/platform/x86.h>)
#include <sys/platform/x86.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace ferrule::cpu {
namespace {

#if defined(__x86_64__)

constexpr Isa kAll[] = {Isa::v2, Isa::v3, Isa::v4, Isa::v4dot};

// The compiler's model is 5 kB of code. Small builds ask the C library instead,
// which answers since glibc 2.33.
#if __has_include(<sys/platform/x86.h>)
constexpr bool kAskLibrary = kSmall;

bool library_has(Isa isa) {
  switch (isa) {
    case Isa::v4dot:
      return library_has(Isa::v4) && CPU_FEATURE_ACTIVE(AVX512_VNNI) &&
             CPU_FEATURE_ACTIVE(AVX512_BF16);
    case Isa::v4:
      return library_has(Isa::v3) && CPU_FEATURE_ACTIVE(AVX512F) &&
             CPU_FEATURE_ACTIVE(AVX512BW) && CPU_FEATURE_ACTIVE(AVX512CD) &&
             CPU_FEATURE_ACTIVE(AVX512DQ) && CPU_FEATURE_ACTIVE(AVX512VL);
    case Isa::v3:
      return CPU_FEATURE_ACTIVE(AVX2) && CPU_FEATURE_ACTIVE(BMI1) &&
             CPU_FEATURE_ACTIVE(BMI2) && CPU_FEATURE_ACTIVE(F16C) &&
             CPU_FEATURE_ACTIVE(FMA) && CPU_FEATURE_ACTIVE(LZCNT) &&
             CPU_FEATURE_ACTIVE(MOVBE);
    default:
      return isa == Isa::v2;
  }
}
#else
constexpr bool kAskLibrary = false;
bool library_has(Isa) { return false; }
#endif

bool has(Isa isa) {
  if constexpr (kAskLibrary) {
    return library_has(isa);
  } else {
    __builtin_cpu_init();
    switch (isa) {
      case Isa::v4dot:
        return __builtin_cpu_supports("x86-64-v4") &&
               __builtin_cpu_supports("avx512vnni") &&
               __builtin_cpu_supports("avx512bf16");
      case Isa::v4:
        return __builtin_cpu_supports("x86-64-v4");
      case Isa::v3:
        return __builtin_cpu_supports("x86-64-v3");
      default:
        return isa == Isa::v2;
    }
  }
}

#else

constexpr Isa kAll[] = {Isa::neon, Isa::neondot, Isa::neonmm};

#if defined(__linux__)

bool has(Isa isa) {
  constexpr unsigned long kDotProduct = 1UL << 20;  // HWCAP_ASIMDDP
  constexpr unsigned long kInt8Matrix = 1UL << 13;  // HWCAP2_I8MM
  constexpr unsigned long kBFloat16 = 1UL << 14;    // HWCAP2_BF16
  constexpr unsigned long kMatrix = kInt8Matrix | kBFloat16;
  switch (isa) {
    case Isa::neonmm:
      return has(Isa::neondot) && (getauxval(AT_HWCAP2) & kMatrix) == kMatrix;
    case Isa::neondot:
      return (getauxval(AT_HWCAP) & kDotProduct) != 0;
    default:
      return isa == Isa::neon;
  }
}

#elif defined(__APPLE__)

bool has(Isa isa) {
  const auto feature = [](const char* name) {
    int value = 0;
    size_t size = sizeof(value);
    return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
  };
  if (isa == Isa::neonmm) {
    return feature("hw.optional.arm.FEAT_I8MM") &&
           feature("hw.optional.arm.FEAT_BF16");
  }
  return isa == Isa::neon || isa == Isa::neondot;  // every 64-bit Mac has them
}

#else

bool has(Isa isa) { return isa == Isa::neon; }

#endif

#endif

// Does this build have kernels for it?
bool built(Isa isa) {
#if defined(FE_ONLY_ISA)
  return isa == Isa::FE_ONLY_ISA;
#else
  return isa != Isa{};
#endif
}

Isa detect() {
  Isa best{};
  for (Isa isa : kAll) {
    if (has(isa) && built(isa)) best = isa;
  }
  const char* wanted = std::getenv("FERRULE_ISA");
  if (wanted == nullptr || *wanted == '\0') return best;
  for (Isa isa : kAll) {
    if (std::strcmp(wanted, isa_name(isa)) == 0 && has(isa) && built(isa)) {
      return isa;
    }
  }
  log_warning("FERRULE_ISA=", wanted,
              " is not an instruction set of this machine; using ",
              isa_name(best));
  return best;
}

}  // namespace

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::v2:
      return "v2";
    case Isa::v3:
      return "v3";
    case Isa::v4:
      return "v4";
    case Isa::v4dot:
      return "v4dot";
    case Isa::neon:
      return "neon";
    case Isa::neondot:
      return "neondot";
    case Isa::neonmm:
      return "neonmm";
  }
  return "none";
}

Isa find_isa() {
  static const Isa found = detect();
  found_isa.store(found, std::memory_order_relaxed);
  return found;
}

void check_machine() {
  if (find_isa() != Isa{}) return;
  std::string built_for;
  for (Isa isa : kAll) {
    if (built(isa)) built_for = isa_name(isa);
  }
  fail<DeviceError>("this build of the runtime has kernels for the instruction "
                    "set ",
                    built_for, " alone, which this machine has not");
}

std::vector<const char*> machine_isas() {
  std::vector<const char*> names;
  for (Isa isa : kAll) {
    if (has(isa) && built(isa)) names.push_back(isa_name(isa));
  }
  return names;
}

void choose_isa(std::string_view name) {
  for (Isa isa : kAll) {
    if (name != isa_name(isa) || !has(isa) || !built(isa)) continue;
    found_isa.store(isa, std::memory_order_relaxed);
    return;
  }
  std::string known;
  for (const char* n : machine_isas()) known += concat(" ", n);
  fail<ValueError>("'", name,
                   "' is not an instruction set of this machine:", known);
}

}  // namespace ferrule::cpu
