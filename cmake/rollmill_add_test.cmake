# rollmill_add_test(NAME LABELS ... SOURCES ... LIBRARIES ...): one GoogleTest executable, one ctest entry.
# Labels: unit (sanitizers run them too), runtime (thread sanitizer), emulation (CUDA kernels on the host), job (whole
# commands), soak (long; CI only).
# OPTIMISED: compiled as the product is. Others with -O1: they call the product's libraries, which are not compiled anew, and
# what they compile themselves (step loops of all environments, mostly) takes half the time.
find_package(GTest REQUIRED)

# Targets tests_unit and tests_runtime: what the tests of a label execute, for the tiers that run nothing else.
add_custom_target(tests_unit)
add_custom_target(tests_runtime)

function(rollmill_add_test name)
  cmake_parse_arguments(T "OPTIMISED" "TIMEOUT" "LABELS;SOURCES;LIBRARIES;ARGS" ${ARGN})
  add_executable(${name} ${T_SOURCES})
  target_link_libraries(${name} PRIVATE rollmill_flags ${T_LIBRARIES} GTest::gtest GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE RM_TEST_DATA_DIR="${CMAKE_SOURCE_DIR}/tests"
    RM_BINARY="${CMAKE_BINARY_DIR}/bin/rollmill" RM_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  if(NOT T_OPTIMISED)
    target_compile_options(${name} PRIVATE -O1)
  endif()
  foreach(label IN LISTS T_LABELS)
    if(TARGET tests_${label})
      add_dependencies(tests_${label} ${name})
    endif()
  endforeach()
  add_test(NAME ${name} COMMAND ${name} ${T_ARGS})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 300)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${T_LABELS}" TIMEOUT ${T_TIMEOUT})
endfunction()

# rollmill_add_script_test(NAME LABELS ... COMMAND ...): anything else that exits non-zero on failure.
function(rollmill_add_script_test name)
  cmake_parse_arguments(T "" "TIMEOUT" "LABELS;COMMAND" ${ARGN})
  add_test(NAME ${name} COMMAND ${T_COMMAND})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 300)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${T_LABELS}" TIMEOUT ${T_TIMEOUT}
    ENVIRONMENT "ROLLMILL_BINARY=${CMAKE_BINARY_DIR}/bin/rollmill;ROLLMILL_VENV=${ROLLMILL_VENV}")
endfunction()
