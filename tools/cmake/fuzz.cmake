# The fuzzers, tests/fuzz/fuzz_NAME.cpp, with Clang's libFuzzer. Each is a
# program of its own; see tools/fuzz.

if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  message(FATAL_ERROR "FERRULE_FUZZ needs Clang, for libFuzzer; use the preset "
                      "\"fuzz\", or set CMAKE_CXX_COMPILER.")
endif()
# Coverage of all own code steers the fuzzers.
add_compile_options(-fsanitize=fuzzer-no-link)

function(ferrule_fuzzer name)
  add_executable(fuzz_${name} tests/fuzz/fuzz_${name}.cpp
                              tests/cpp/file_mutations.cpp ${ARGN})
  ferrule_compile(fuzz_${name})
  target_link_libraries(fuzz_${name} PRIVATE ferrule)
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
endfunction()

function(ferrule_fuzzers)
  ferrule_fuzzer(file)
  ferrule_fuzzer(tool ${tool_sources})
  # The command's `main` becomes a function that the fuzzer calls.
  target_compile_definitions(fuzz_tool PRIVATE main=ferrule_main)
endfunction()
