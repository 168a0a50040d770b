# A runtime for some models: FERRULE_MODELS, FERRULE_OPS, and for some machines:
# FERRULE_ISA, FERRULE_SMALL. Sets ferrule_selected_ops to the names of the ops
# that it has; empty: all.

set(ferrule_selected_ops "")
if(FERRULE_MODELS OR FERRULE_OPS)
  if(NOT FERRULE_RUNTIME_ONLY)
    message(FATAL_ERROR "FERRULE_MODELS and FERRULE_OPS choose the ops of a "
                        "deployed runtime: set FERRULE_RUNTIME_ONLY=ON, too.")
  endif()
  # A change of them configures the build anew.
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
               ${FERRULE_MODELS} ${FERRULE_OPS})
endif()

foreach(list IN LISTS FERRULE_OPS)
  if(NOT EXISTS "${list}")
    message(FATAL_ERROR "FERRULE_OPS: there is no file '${list}'.")
  endif()
  file(STRINGS "${list}" names REGEX "^[A-Za-z0-9_]+$")
  list(APPEND ferrule_selected_ops ${names})
endforeach()

# The metadata of a file are a FlatBuffer, so flatc reads them: no command of
# ours, which a cross compiler's build could not run, is needed.
foreach(model IN LISTS FERRULE_MODELS)
  if(NOT EXISTS "${model}")
    message(FATAL_ERROR "FERRULE_MODELS: there is no file '${model}'.")
  endif()
  set(out "${PROJECT_BINARY_DIR}/models")
  execute_process(COMMAND "${FERRULE_FLATC}" --json --raw-binary --strict-json
                          -o "${out}"
                          "${PROJECT_SOURCE_DIR}/runtime/format/model.fbs"
                          -- "${model}"
                  RESULT_VARIABLE status ERROR_VARIABLE text
                  OUTPUT_VARIABLE text)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "FERRULE_MODELS: flatc cannot read '${model}':\n${text}")
  endif()
  get_filename_component(name "${model}" NAME_WLE)
  file(READ "${out}/${name}.json" json)
  string(JSON count ERROR_VARIABLE error LENGTH "${json}" ops)
  if(error)
    message(FATAL_ERROR "FERRULE_MODELS: '${model}' is no model: ${error}")
  endif()
  math(EXPR last "${count} - 1")
  foreach(i RANGE ${last})
    string(JSON name GET "${json}" ops ${i} name)
    list(APPEND ferrule_selected_ops "${name}")
  endforeach()
endforeach()

if(FERRULE_MODELS OR FERRULE_OPS)
  list(REMOVE_DUPLICATES ferrule_selected_ops)
  list(SORT ferrule_selected_ops)
  list(LENGTH ferrule_selected_ops count)
  if(count EQUAL 0)
    message(FATAL_ERROR "FERRULE_MODELS, FERRULE_OPS: no op is named there.")
  endif()
  message(STATUS "Runtime with ${count} ops: ${ferrule_selected_ops}")
endif()

# --- Instruction sets, and how kernels are compiled.

set(ferrule_x86_levels v2 v3 v4)
if(FERRULE_ISA)
  if(NOT FERRULE_RUNTIME_ONLY)
    message(FATAL_ERROR "FERRULE_ISA chooses the kernels of a deployed runtime: "
                        "set FERRULE_RUNTIME_ONLY=ON, too.")
  endif()
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
    set(known neon)
  else()
    set(known ${ferrule_x86_levels})
  endif()
  if(NOT FERRULE_ISA IN_LIST known)
    message(FATAL_ERROR "FERRULE_ISA is '${FERRULE_ISA}'; for "
                        "${CMAKE_SYSTEM_PROCESSOR} there are: ${known}")
  endif()
  set(ferrule_x86_levels ${FERRULE_ISA})
  add_compile_definitions(FE_ONLY_ISA=${FERRULE_ISA})
endif()

set(ferrule_unrolled -O3)
if(FERRULE_SMALL)
  set(ferrule_unrolled -Os)
  string(REPLACE "-O2" "-Os" CMAKE_CXX_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")
endif()
