# Header-only libraries of the system. Each is linked into the build folder and
# included from there: adding /usr/include itself to the search path would give
# a cross compiler the headers of the build machine.

function(ferrule_find_headers name package)
  find_path(FERRULE_${name}_INCLUDE ${name}/${name}.h
            NO_CMAKE_FIND_ROOT_PATH
            DOC "Folder that holds ${name}/${name}.h")
  if(NOT FERRULE_${name}_INCLUDE)
    message(FATAL_ERROR
            "${name}/${name}.h was not found. On Debian and Ubuntu:\n"
            "  sudo apt-get install ${package}")
  endif()
  file(MAKE_DIRECTORY "${PROJECT_BINARY_DIR}/headers")
  file(CREATE_LINK "${FERRULE_${name}_INCLUDE}/${name}"
       "${PROJECT_BINARY_DIR}/headers/${name}" SYMBOLIC)
endfunction()

# --- FlatBuffers. The generated code must match the headers, so it is made
# here by the flatc of the same version, and none of it is committed.

ferrule_find_headers(flatbuffers
                     "flatbuffers-compiler libflatbuffers-dev")
find_program(FERRULE_FLATC flatc NO_CMAKE_FIND_ROOT_PATH
             DOC "The FlatBuffers compiler of the build machine")
if(NOT FERRULE_FLATC)
  message(FATAL_ERROR
          "flatc was not found. On Debian and Ubuntu:\n"
          "  sudo apt-get install flatbuffers-compiler libflatbuffers-dev")
endif()

execute_process(COMMAND "${FERRULE_FLATC}" --version
                OUTPUT_VARIABLE flatc_version COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" flatc_version "${flatc_version}")
file(STRINGS "${FERRULE_flatbuffers_INCLUDE}/flatbuffers/base.h" lines
     REGEX "define FLATBUFFERS_VERSION_(MAJOR|MINOR|REVISION) [0-9]+")
list(TRANSFORM lines REPLACE "[^0-9]" "")
list(JOIN lines "." headers_version)
if(NOT flatc_version STREQUAL headers_version)
  message(FATAL_ERROR
          "flatc is version ${flatc_version} and the FlatBuffers headers are "
          "version ${headers_version}; they must be the same.\n"
          "  ${FERRULE_FLATC}\n"
          "  ${FERRULE_flatbuffers_INCLUDE}/flatbuffers\n"
          "Set FERRULE_FLATC and FERRULE_flatbuffers_INCLUDE to a pair.")
endif()
