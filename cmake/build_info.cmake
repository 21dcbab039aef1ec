# Version, commit and compiler, for `rollmill --version` and every artifact. Rewritten at each build only if it changed.
set(ROLLMILL_BUILD_NOTE "")
if(ROLLMILL_INEXACT)
  list(JOIN ROLLMILL_INEXACT " " ROLLMILL_BUILD_NOTE)
  string(PREPEND ROLLMILL_BUILD_NOTE ", INEXACT, for benchmarks only: ")
  message(WARNING "ROLLMILL_INEXACT: this build keeps no promise about bits; it is for benchmarks/exactness.py only")
endif()
file(WRITE ${CMAKE_BINARY_DIR}/write_build_info.cmake "
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND git -C ${CMAKE_SOURCE_DIR} rev-parse --short=12 HEAD OUTPUT_VARIABLE commit
                OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
  set(commit unknown)
endif()
set(text \"${PROJECT_VERSION} (\${commit}, ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}, ${CMAKE_BUILD_TYPE}, ${ROLLMILL_MARCH}${ROLLMILL_BUILD_NOTE})\")
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/build_info.cc CONTENT
\"#include \\\"core/base/build_info.h\\\"\\nnamespace rollmill {\\nconst char* build_info() { return \\\"\${text}\\\"; }\\n}\\n\")
")
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/generated)
add_custom_target(rollmill_build_info_file BYPRODUCTS ${CMAKE_BINARY_DIR}/generated/build_info.cc
  COMMAND ${CMAKE_COMMAND} -P ${CMAKE_BINARY_DIR}/write_build_info.cmake)
