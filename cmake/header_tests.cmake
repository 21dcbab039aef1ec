# Every public header compiles alone: one translation unit that includes nothing else, for each but those whose own source
# includes them first.
file(GLOB_RECURSE headers RELATIVE ${CMAKE_SOURCE_DIR} CONFIGURE_DEPENDS
  core/*.h envs/*.h datasets/*.h rollout/*.h generators/*.h trainer/*.h evaluation/*.h cli/*.h)
# Wrappers' private headers and headers that need torch, CUDA or HDF5 are their owners' business.
list(FILTER headers EXCLUDE REGEX "/torch/|_internal\\.h$|cuda|strict_json")
set(sources "")
foreach(header IN LISTS headers)
  string(REGEX REPLACE "\\.h$" ".cc" own ${CMAKE_SOURCE_DIR}/${header})
  if(EXISTS ${own})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${own})
    file(STRINGS ${own} first REGEX "^#include" LIMIT_COUNT 1)
    if(first STREQUAL "#include \"${header}\"")
      continue()
    endif()
  endif()
  string(REPLACE "/" "_" name ${header})
  set(source ${CMAKE_BINARY_DIR}/generated/headers/${name}.cc)
  file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${header}\"\n#include \"${header}\"\n")
  list(APPEND sources ${source})
endforeach()
add_library(rollmill_header_tests OBJECT ${sources})
target_link_libraries(rollmill_header_tests PRIVATE rollmill_flags)
target_compile_options(rollmill_header_tests PRIVATE -O0)
