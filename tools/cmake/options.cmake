# Compiler and linker flags, and the functions that make targets with them.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# A small runtime that is linked as a whole is a tenth smaller. (An archive would
# ask its users for the same compiler.)
if(FERRULE_SMALL AND BUILD_SHARED_LIBS AND NOT FERRULE_LTO)
  include(CheckIPOSupported)
  check_ipo_supported(RESULT FERRULE_LTO OUTPUT ignored LANGUAGES CXX)
endif()
set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ${FERRULE_LTO})
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g0 -DNDEBUG")
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_package(Threads REQUIRED)

# --- Speed of building: ccache everywhere, mold with a native g++.

find_program(FERRULE_CCACHE ccache)
if(FERRULE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${FERRULE_CCACHE}")
endif()
find_program(FERRULE_MOLD mold)
if(FERRULE_MOLD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU"
   AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 12.1
   AND NOT CMAKE_CROSSCOMPILING AND NOT FERRULE_LTO)
  add_link_options(-fuse-ld=mold)
endif()

add_link_options(-Wl,--gc-sections)
if(FERRULE_LTO)  # code is made when it is linked: what is dropped needs sections
  add_link_options(-ffunction-sections -fdata-sections)
endif()
if(ANDROID)
  add_link_options(-Wl,-z,max-page-size=16384)
endif()

if(FERRULE_SANITIZE)
  # For all code, nanobind's included.
  set(sanitize_flags -fsanitize=${FERRULE_SANITIZE} -fno-sanitize-recover=all
                     -fno-omit-frame-pointer)
  add_compile_options(${sanitize_flags})
  add_link_options(${sanitize_flags})
endif()

# --- Flags of all own code. Contraction and errno are off so that results are
# the same bits for every compiler and instruction set.

set(ferrule_flags
    -ffp-contract=off -fno-math-errno -ffunction-sections -fdata-sections
    -Wall -Wextra
    # What an initializer leaves out is zero, on purpose.
    -Wno-missing-field-initializers)
if(FERRULE_WERROR)
  list(APPEND ferrule_flags -Werror)
endif()
# Thread-local variables by descriptor: a module that Python loads reaches its
# own in a few instructions instead of a call into the loader.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$"
   AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND ferrule_flags -mtls-dialect=gnu2)
endif()

# Own flags and include paths for a target's sources.
function(ferrule_compile target)
  target_compile_options(${target} PRIVATE ${ferrule_flags})
  target_include_directories(${target} PRIVATE
    "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/include"
    "${PROJECT_BINARY_DIR}/generated")
  target_include_directories(${target} SYSTEM PRIVATE
    "${PROJECT_BINARY_DIR}/headers" "${PROJECT_BINARY_DIR}/flatbuffers")
  target_compile_definitions(${target} PRIVATE
    FERRULE_VERSION="${PROJECT_VERSION}")
  if(TARGET ferrule_generated)
    add_dependencies(${target} ferrule_generated)
  endif()
endfunction()

# ferrule_objects(NAME SOURCES ... [DEFINES ...] [OPTIONS ...])
# Compiles the sources and leaves their objects in the variable NAME: empty
# where there are no sources.
function(ferrule_objects name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;DEFINES;OPTIONS")
  if(NOT arg_SOURCES)
    set(${name} "" PARENT_SCOPE)
    return()
  endif()
  add_library(ferrule_${name} OBJECT ${arg_SOURCES})
  ferrule_compile(ferrule_${name})
  target_compile_definitions(ferrule_${name} PRIVATE ${arg_DEFINES})
  target_compile_options(ferrule_${name} PRIVATE ${arg_OPTIONS})
  set(${name} $<TARGET_OBJECTS:ferrule_${name}> PARENT_SCOPE)
endfunction()

# The system libraries that the C++ code needs.
function(ferrule_link_system target)
  target_link_libraries(${target} PUBLIC Threads::Threads ${CMAKE_DL_LIBS})
endfunction()

# Keeps everything but the public symbols out of a shared library, also those
# of the standard library's templates.
function(ferrule_limit_exports target map)
  set(file "${PROJECT_SOURCE_DIR}/tools/cmake/${map}")
  target_link_options(${target} PRIVATE "-Wl,--version-script=${file}")
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS "${file}")
endfunction()

# What the two libraries have in common. Users see it as ferrule::<name>.
function(ferrule_library target name)
  set_target_properties(${target} PROPERTIES
                        EXPORT_NAME ${name} LINKER_LANGUAGE CXX
                        VERSION ${PROJECT_VERSION}
                        SOVERSION ${PROJECT_VERSION_MAJOR})
  target_compile_features(${target} INTERFACE cxx_std_20)
  target_include_directories(${target} INTERFACE
    "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>"
    "$<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/generated>"
    "$<INSTALL_INTERFACE:include>")
  ferrule_link_system(${target})
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "SHARED_LIBRARY")
    ferrule_limit_exports(${target} runtime.map)
  endif()
endfunction()
