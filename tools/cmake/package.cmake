# Installed files and the CMake package: find_package(ferrule) gives
# ferrule::runtime and, in a full build, ferrule::ferrule; pkg-config ferrule gives
# the runtime.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/ferrule")
install(DIRECTORY include/ferrule TYPE INCLUDE)
install(FILES "${PROJECT_BINARY_DIR}/generated/ferrule/ops.h"
        DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/ferrule")

install(TARGETS ferrule_runtime EXPORT ferruleTargets)
if(TARGET ferrule)
  install(TARGETS ferrule EXPORT ferruleTargets)
endif()
if(TARGET ferrule_tool)
  install(TARGETS ferrule_tool)
endif()

install(EXPORT ferruleTargets NAMESPACE ferrule::
        DESTINATION "${package_dir}")
configure_package_config_file(tools/cmake/ferruleConfig.cmake.in
                              ferruleConfig.cmake
                              INSTALL_DESTINATION "${package_dir}")
# Before 1.0 a minor version may break what came before it.
write_basic_package_version_file(ferruleConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/ferruleConfig.cmake"
              "${PROJECT_BINARY_DIR}/ferruleConfigVersion.cmake"
        DESTINATION "${package_dir}")

set(pc_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
file(RELATIVE_PATH pc_prefix "/${pc_dir}" "/")
get_target_property(runtime_type ferrule_runtime TYPE)
set(pc_libs "")
if(runtime_type STREQUAL "STATIC_LIBRARY")
  # A C program must be told which libraries C++ stands on.
  set(pc_libs ${CMAKE_CXX_IMPLICIT_LINK_LIBRARIES})
  list(FILTER pc_libs INCLUDE REGEX "^(stdc\\+\\+|c\\+\\+|c\\+\\+abi|m)$")
  list(REMOVE_DUPLICATES pc_libs)
  list(TRANSFORM pc_libs PREPEND "-l")
  foreach(library IN LISTS CMAKE_DL_LIBS)
    list(APPEND pc_libs "-l${library}")
  endforeach()
  list(APPEND pc_libs -pthread)
  list(JOIN pc_libs " " pc_libs)
endif()
configure_file(tools/cmake/ferrule.pc.in ferrule.pc @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/ferrule.pc" DESTINATION "${pc_dir}")
install(FILES LICENSE TYPE DOC)
