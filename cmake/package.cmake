# `cmake --install`, and find_package(rollmill) for environments in projects of their own: from an installed prefix, or from this
# build folder (-Drollmill_DIR=.../build/release). cmake/package/ holds what is installed.
#
#   in   targets rollmill, rollmill_torch, rollmill_cuda; ROLLMILL_HOST_FLAGS
#   out  rollmillConfig.cmake in the build folder and in lib/cmake/rollmill
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)
include(package/rollmill_headers)

set(ROLLMILL_HOST_DEFINITIONS "")
if(ROLLMILL_VALIDATE)
  set(ROLLMILL_HOST_DEFINITIONS RM_ENABLE_VALIDATE)
endif()
set(ROLLMILL_HOST_LINK_OPTIONS "")
if(ROLLMILL_SANITIZE)
  set(ROLLMILL_HOST_LINK_OPTIONS -fsanitize=${ROLLMILL_SANITIZE})
endif()
set(ROLLMILL_CMAKE_FOLDER ${CMAKE_INSTALL_LIBDIR}/cmake/rollmill)

write_basic_package_version_file(${CMAKE_BINARY_DIR}/rollmillConfigVersion.cmake COMPATIBILITY SameMinorVersion)
set(ROLLMILL_PACKAGE_CMAKE ${CMAKE_SOURCE_DIR}/cmake/package)
set(ROLLMILL_PACKAGE_INCLUDE ${CMAKE_SOURCE_DIR})
set(ROLLMILL_PACKAGE_PROGRAM ${CMAKE_BINARY_DIR}/bin/rollmill)
configure_file(cmake/package/rollmillConfig.cmake.in ${CMAKE_BINARY_DIR}/rollmillConfig.cmake @ONLY)
# Installed, everything is found from where the file lies: a prefix may move.
file(RELATIVE_PATH _rm_up /prefix/${ROLLMILL_CMAKE_FOLDER} /prefix)
set(ROLLMILL_PACKAGE_CMAKE "\${CMAKE_CURRENT_LIST_DIR}")
set(ROLLMILL_PACKAGE_INCLUDE "\${CMAKE_CURRENT_LIST_DIR}/${_rm_up}/include/rollmill")
set(ROLLMILL_PACKAGE_PROGRAM "\${CMAKE_CURRENT_LIST_DIR}/${_rm_up}/${CMAKE_INSTALL_BINDIR}/rollmill")
configure_file(cmake/package/rollmillConfig.cmake.in ${CMAKE_BINARY_DIR}/package/rollmillConfig.cmake @ONLY)

install(TARGETS rollmill RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
foreach(module rollmill_torch rollmill_cuda)
  if(TARGET ${module})
    set_target_properties(${module} PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)  # libtorch stays where it is
    install(TARGETS ${module} LIBRARY DESTINATION lib/rollmill)
  endif()
endforeach()
rollmill_shared_headers(${CMAKE_SOURCE_DIR} _rm_headers)
foreach(header IN LISTS _rm_headers)
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${header} DESTINATION include/rollmill/${folder})
endforeach()
# The environments themselves: to read, and for what families share (envs/grid/grid.h).
install(DIRECTORY envs DESTINATION include/rollmill FILES_MATCHING PATTERN "*.h" PATTERN contract EXCLUDE)
install(DIRECTORY configs DESTINATION share/rollmill)
install(FILES cmake/package/rollmill_env_source.cmake cmake/package/rollmill_headers.cmake
  cmake/package/rollmill_plugin.cmake ${CMAKE_BINARY_DIR}/package/rollmillConfig.cmake
  ${CMAKE_BINARY_DIR}/rollmillConfigVersion.cmake DESTINATION ${ROLLMILL_CMAKE_FOLDER})
