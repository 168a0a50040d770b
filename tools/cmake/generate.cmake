# Rules for the sources that are made at build time, under build/.../generated.

# Op and kernel tables from the text of the sources: an explicit list, which no
# linker drops, and no registration code that runs before main.
# Sets table_sources.
function(ferrule_generate_tables)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "" "OPS;KERNELS")
  set(out "${PROJECT_BINARY_DIR}/generated")
  set(script "${PROJECT_SOURCE_DIR}/tools/cmake/make_tables.cmake")
  # The lists of files travel in files: a command line has a limited length,
  # and a removed source changes them.
  file(CONFIGURE OUTPUT "${out}/ops.list" CONTENT "${arg_OPS}\n")
  file(CONFIGURE OUTPUT "${out}/kernels.list" CONTENT "${arg_KERNELS}\n")
  list(JOIN ferrule_selected_ops "\n" selected)
  file(CONFIGURE OUTPUT "${out}/selected.list" CONTENT "${selected}\n")
  add_custom_command(
    OUTPUT "${out}/ferrule/ops.h" "${out}/op_table.cpp"
    COMMAND "${CMAKE_COMMAND}" -DKIND=ops "-DOUT=${out}"
            -DTRAINING=${FERRULE_TRAINING} -P "${script}"
    DEPENDS ${arg_OPS} "${out}/ops.list" "${out}/selected.list" "${script}"
    COMMENT "Op table" VERBATIM)
  add_custom_command(
    OUTPUT "${out}/cpu_kernel_table.cpp"
    COMMAND "${CMAKE_COMMAND}" -DKIND=kernels "-DOUT=${out}"
            -DTRAINING=${FERRULE_TRAINING} -P "${script}"
    DEPENDS ${arg_KERNELS} "${out}/kernels.list" "${out}/selected.list"
            "${script}"
    COMMENT "CPU kernel table" VERBATIM)
  add_custom_target(ferrule_generated DEPENDS
                    "${out}/ferrule/ops.h" "${out}/cpu_kernel_table.cpp")
  set(table_sources "${out}/op_table.cpp" "${out}/cpu_kernel_table.cpp"
      PARENT_SCOPE)
endfunction()

# C++ code for a FlatBuffers schema: DIR/NAME.fbs gives DIR/NAME_generated.h
# below build/.../flatbuffers, included as "DIR/NAME_generated.h".
function(ferrule_generate_flatbuffers schema)
  set(source "${PROJECT_SOURCE_DIR}/${schema}")
  if(NOT EXISTS "${source}")
    return()
  endif()
  get_filename_component(dir "${schema}" DIRECTORY)
  get_filename_component(name "${schema}" NAME_WE)
  set(out "${PROJECT_BINARY_DIR}/flatbuffers/${dir}")
  add_custom_command(
    OUTPUT "${out}/${name}_generated.h"
    COMMAND "${FERRULE_FLATC}" --cpp --scoped-enums --gen-mutable
            -o "${out}" "${source}"
    DEPENDS "${source}"
    COMMENT "FlatBuffers code of ${schema}" VERBATIM)
  add_custom_target(ferrule_flatbuffers DEPENDS "${out}/${name}_generated.h")
  add_dependencies(ferrule_generated ferrule_flatbuffers)
endfunction()
