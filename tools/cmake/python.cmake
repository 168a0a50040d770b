# The Python module ferrule._ferrule, its type stubs, and what a wheel holds.

find_package(Python 3.10 REQUIRED COMPONENTS Interpreter Development.Module)
execute_process(
  COMMAND "${Python_EXECUTABLE}" -m nanobind --cmake_dir
  OUTPUT_VARIABLE nanobind_dir OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET
  RESULT_VARIABLE nanobind_missing)
if(nanobind_missing)
  message(FATAL_ERROR "nanobind was not found for ${Python_EXECUTABLE}:\n"
                      "  ${Python_EXECUTABLE} -m pip install nanobind")
endif()
find_package(nanobind CONFIG REQUIRED PATHS "${nanobind_dir}" NO_DEFAULT_PATH)

set(package_dir "${PROJECT_BINARY_DIR}/python/ferrule")
file(GLOB binding_sources CONFIGURE_DEPENDS python/src/*.cpp)
if(NOT binding_sources)
  return()
endif()

# NOMINSIZE: the binding is on the path of every op, so speed counts, not size.
nanobind_add_module(_ferrule NB_STATIC NOMINSIZE NB_SUPPRESS_WARNINGS
                    NB_DOMAIN ferrule ${binding_sources})
ferrule_compile(_ferrule)
# CPython's method tables hold functions of several types.
target_compile_options(_ferrule PRIVATE -Wno-cast-function-type)
ferrule_limit_exports(_ferrule module.map)
target_link_libraries(_ferrule PRIVATE ferrule)
set_target_properties(_ferrule PROPERTIES
                      LIBRARY_OUTPUT_DIRECTORY "${package_dir}")

# --- Type stubs: python/src/make_stubs.py MODULE_DIR OUTPUT_DIR imports _ferrule
# from MODULE_DIR and writes _ferrule.pyi and _ops/ (the ops as functions).
# A sanitized module needs a sanitized interpreter and a cross-compiled one
# another machine, so they get no stubs.

set(stub_script "${PROJECT_SOURCE_DIR}/python/src/make_stubs.py")
set(stubs "")
if(NOT FERRULE_SANITIZE AND NOT CMAKE_CROSSCOMPILING
   AND EXISTS "${stub_script}")
  set(stubs "${package_dir}/_ferrule.pyi" "${package_dir}/_ops")
  add_custom_command(
    OUTPUT "${package_dir}/_ferrule.pyi" "${package_dir}/_ops/__init__.pyi"
    COMMAND "${Python_EXECUTABLE}" "${stub_script}" "${package_dir}"
            "${package_dir}"
    DEPENDS _ferrule "${stub_script}"
            "${PROJECT_SOURCE_DIR}/python/src/stub_texts.py"
            "${PROJECT_SOURCE_DIR}/python/ferrule/nn/functional.py"
    COMMENT "Type stubs" VERBATIM)
  add_custom_target(_ferrule_stubs ALL DEPENDS "${package_dir}/_ferrule.pyi")
endif()

# --- FERRULE_IN_TREE: python/ferrule is a complete package without copying:
# links to the module, its stubs and the tool appear in it (git ignores them).

function(ferrule_link_in_tree target file dir)
  set(tree "${PROJECT_SOURCE_DIR}/python/ferrule")
  file(RELATIVE_PATH up "${tree}/${dir}" "${PROJECT_BINARY_DIR}")
  get_filename_component(name "${file}" NAME)
  add_custom_command(TARGET ${target} POST_BUILD
    COMMAND "${CMAKE_COMMAND}" -E make_directory "${tree}/${dir}"
    COMMAND "${CMAKE_COMMAND}" -E create_symlink "${up}/${file}"
            "${tree}/${dir}/${name}"
    VERBATIM)
endfunction()

if(FERRULE_IN_TREE)
  ferrule_link_in_tree(_ferrule
                       "python/ferrule/$<TARGET_FILE_NAME:_ferrule>" "")
  foreach(stub IN LISTS stubs)
    get_filename_component(name "${stub}" NAME)
    ferrule_link_in_tree(_ferrule "python/ferrule/${name}" "")
  endforeach()
  if(TARGET ferrule_tool)
    ferrule_link_in_tree(ferrule_tool bin/ferrule bin)
  endif()
endif()

# --- The wheel: component "python", which no other install includes.

install(TARGETS _ferrule LIBRARY DESTINATION ferrule
        COMPONENT python EXCLUDE_FROM_ALL)
if(stubs)
  install(FILES "${package_dir}/_ferrule.pyi" DESTINATION ferrule
          COMPONENT python EXCLUDE_FROM_ALL)
  install(DIRECTORY "${package_dir}/_ops" DESTINATION ferrule
          COMPONENT python EXCLUDE_FROM_ALL)
endif()
if(TARGET ferrule_tool)
  install(PROGRAMS $<TARGET_FILE:ferrule_tool> DESTINATION ferrule/bin
          COMPONENT python EXCLUDE_FROM_ALL)
endif()
