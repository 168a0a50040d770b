// The tables of Fourier transforms, kept from call to call.
#pragma once

#include "runtime/core/function_ref.h"
#include "runtime/cpu/fft_plan.h"

namespace ferrule::cpu {

// The tables of a plan while this object lives: those that an earlier call left
// behind, or else what `fill` makes of `scratch`, which has room for
// plan.bytes. They are kept in memory of fixed size; when it is full, all are
// dropped as soon as nobody uses one. Allocates nothing, waits for nobody.
class FftTables {
 public:
  FftTables(const FftPlan& plan, char* scratch,
            FunctionRef<void(char* tables)> fill);
  ~FftTables();
  FftTables(const FftTables&) = delete;
  const char* get() const { return tables_; }

 private:
  const char* tables_ = nullptr;
  bool kept_ = false;
};

}  // namespace ferrule::cpu
