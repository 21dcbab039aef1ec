# rollmill_add_test(NAME LABELS ... SOURCES ... LIBRARIES ...): one GoogleTest executable, one ctest entry.
# Labels: unit (sanitizers run them too), runtime (thread sanitizer), job (whole commands), soak (long; CI only).
find_package(GTest REQUIRED)

function(rollmill_add_test name)
  cmake_parse_arguments(T "" "TIMEOUT" "LABELS;SOURCES;LIBRARIES;ARGS" ${ARGN})
  add_executable(${name} ${T_SOURCES})
  target_link_libraries(${name} PRIVATE rollmill_flags ${T_LIBRARIES} GTest::gtest GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE RM_TEST_DATA_DIR="${CMAKE_SOURCE_DIR}/tests"
    RM_BINARY="${CMAKE_BINARY_DIR}/bin/rollmill" RM_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
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
