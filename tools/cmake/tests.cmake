# The C++ tests and the checks of what was built, for ctest.

enable_testing()

# --- ferrule_tests: tests/cpp/*.cpp with doctest. Each test_NAME.cpp is one
# entry of ctest, cpp/NAME; other files are helpers.

file(GLOB test_sources CONFIGURE_DEPENDS tests/cpp/*.cpp)
if(TARGET ferrule AND test_sources)
  ferrule_find_headers(doctest doctest-dev)
  add_executable(ferrule_tests ${test_sources})
  ferrule_compile(ferrule_tests)
  target_link_libraries(ferrule_tests PRIVATE ferrule)
  # Tests run the tool and read sources, wherever they are started from.
  target_compile_definitions(ferrule_tests PRIVATE
    FERRULE_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
    FERRULE_BINARY_DIR="${PROJECT_BINARY_DIR}")
  foreach(source IN LISTS test_sources)
    if(source MATCHES "/test_([^/]*)\\.cpp$")
      set(name "${CMAKE_MATCH_1}")
      add_test(NAME cpp/${name}
               COMMAND ferrule_tests "--source-file=*/tests/cpp/test_${name}.cpp")
      set_tests_properties(cpp/${name} PROPERTIES TIMEOUT 900)
    endif()
  endforeach()
endif()

# The remaining checks are about release builds for this machine.
if(FERRULE_SANITIZE OR CMAKE_CROSSCOMPILING)
  return()
endif()

# --- Exported symbols and size of the runtime, as a shared library.

if(BUILD_SHARED_LIBS)
  set(shared_runtime ferrule_runtime)
else()
  set(shared_runtime ferrule_runtime_shared)
  add_library(ferrule_runtime_shared SHARED ${runtime_parts})
  set_target_properties(ferrule_runtime_shared PROPERTIES
                        LINKER_LANGUAGE CXX OUTPUT_NAME ferrule_runtime
                        LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/shared")
  ferrule_link_system(ferrule_runtime_shared)
  ferrule_limit_exports(ferrule_runtime_shared runtime.map)
endif()
target_link_options(${shared_runtime} PRIVATE -Wl,-z,defs)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_test(NAME check/symbols
           COMMAND "${PROJECT_SOURCE_DIR}/tools/check-symbols"
                   $<TARGET_FILE:${shared_runtime}>)
  # The sizes of its parts, against those that were committed. Only of the whole:
  # a build for some models or machines has others.
  if(NOT FERRULE_MODELS AND NOT FERRULE_OPS AND NOT FERRULE_ISA
     AND NOT FERRULE_SMALL AND NOT FERRULE_LTO AND FERRULE_TRAINING)
    add_test(NAME check/size
             COMMAND "${PROJECT_SOURCE_DIR}/tools/size-report"
                     --against "${PROJECT_SOURCE_DIR}/tools/size-baseline.json"
                     "${PROJECT_BINARY_DIR}")
    set_tests_properties(check/size PROPERTIES
                         SKIP_REGULAR_EXPRESSION "not compared: ")
  endif()
  foreach(level v3 v4 v4dot)
    if(simd_objects_${level})
      add_test(NAME check/simd-${level}
               COMMAND "${PROJECT_SOURCE_DIR}/tools/check-simd" ${level}
                       ${simd_objects_${level}} COMMAND_EXPAND_LISTS)
    endif()
  endforeach()
endif()

# --- A project outside the tree that uses the installed package.

add_test(NAME check/consumer
         COMMAND "${CMAKE_COMMAND}" "-DBUILD=${PROJECT_BINARY_DIR}"
                 "-DGENERATOR=${CMAKE_GENERATOR}"
                 "-DMAKE_PROGRAM=${CMAKE_MAKE_PROGRAM}"
                 "-DCOMPILER=${CMAKE_CXX_COMPILER}"
                 -P "${PROJECT_SOURCE_DIR}/tests/consumer/run.cmake")
set_tests_properties(check/consumer PROPERTIES TIMEOUT 900)
