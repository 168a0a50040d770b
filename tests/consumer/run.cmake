# Installs a build and builds and runs the consumer project against it:
#   cmake -DBUILD=build/release [-DGENERATOR=.. -DMAKE_PROGRAM=.. -DCOMPILER=..]
#         -P tests/consumer/run.cmake
set(work "${BUILD}/consumer")
file(REMOVE_RECURSE "${work}")

function(run)
  execute_process(COMMAND ${ARGV} COMMAND_ECHO STDOUT
                  COMMAND_ERROR_IS_FATAL ANY)
endfunction()

run("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${work}/prefix")
set(options "")
if(GENERATOR)
  list(APPEND options -G "${GENERATOR}")
endif()
if(MAKE_PROGRAM)
  list(APPEND options "-DCMAKE_MAKE_PROGRAM=${MAKE_PROGRAM}")
endif()
if(COMPILER)
  list(APPEND options "-DCMAKE_CXX_COMPILER=${COMPILER}")
endif()
run("${CMAKE_COMMAND}" -S "${CMAKE_CURRENT_LIST_DIR}" -B "${work}/build"
    "-DCMAKE_PREFIX_PATH=${work}/prefix" -DCMAKE_BUILD_TYPE=Release ${options})
run("${CMAKE_COMMAND}" --build "${work}/build")
run("${CMAKE_CTEST_COMMAND}" --test-dir "${work}/build" --output-on-failure
    --no-tests=error)
