// How hot thread-local variables are declared.
#pragma once

// Reached by one instruction, also from a library that Python loads. The loader
// has little room for such variables, so they are few and small (pointers), and
// without a constructor: `FE_FAST_TLS thread_local constinit T* p = nullptr;`.
// Android's loader has none at all.
#if defined(__linux__) && defined(__GLIBC__)
#define FE_FAST_TLS [[gnu::tls_model("initial-exec")]]
#else
#define FE_FAST_TLS
#endif
