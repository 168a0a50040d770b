# Installed files and the CMake package: find_package(ferrule) gives
# ferrule::runtime and, in a full build, ferrule::ferrule.

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
install(FILES LICENSE TYPE DOC)
