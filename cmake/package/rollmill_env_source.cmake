# rollmill_env_source(TYPE HEADER FILE): writes the CPU translation unit of an environment; it defines EnvEntry TYPE_entry().
# The same for this repository's environments and for plugins. Optional further arguments: compile options of it.
# A step is one long straight block: scheduling it before registers are given out, with an eye on how many are left, makes
# CartPole, Acrobot and Pendulum 4 to 7 % faster with g++ 12. It needs more constants than there are registers: g++ makes them
# again in the loop, on the port that half of all vector work waits for, unless moves from integer registers are called slow; then
# it reads them from memory. No bit depends on either.
function(rollmill_env_source type header source)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT
"#include \"@header@\"
#include \"envs/cpu_entry.h\"

namespace rollmill {
EnvEntry @type@_entry() { return cpu_entry<@type@>(); }
}  // namespace rollmill
")
  set(options ${ARGN})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64" AND NOT ROLLMILL_SANITIZE AND NOT ROLLMILL_TOGETHER)
    list(PREPEND options -fschedule-insns -fsched-pressure)
    include(CheckCXXCompilerFlag)  # (another g++ may know the tuning by no name, which is an error)
    check_cxx_compiler_flag(-mtune-ctrl=^inter_unit_moves_to_vec ROLLMILL_HAS_TUNE_CTRL)
    if(ROLLMILL_HAS_TUNE_CTRL)
      list(PREPEND options -mtune-ctrl=^inter_unit_moves_to_vec)
    endif()
  endif()
  if(options)
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${options}")
  endif()
endfunction()
