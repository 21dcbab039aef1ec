# rollmill_add_env(TYPE HEADER [FUSED]): registers an environment of the contract (envs/env.h). Writes the CPU translation unit, the
# CUDA one for the CUDA module (cmake/cuda.cmake), and its line of the registry. FUSED: on CUDA a rollout is one kernel, policy and
# steps together (rollout/fused_rollout.cuh); half a minute more to compile.
set_property(GLOBAL PROPERTY ROLLMILL_ENV_TYPES "")
set_property(GLOBAL PROPERTY ROLLMILL_ENV_HEADERS "")
set_property(GLOBAL PROPERTY ROLLMILL_ENV_FOLDERS "")
set_property(GLOBAL PROPERTY ROLLMILL_FUSED_ENVS "")

include(${CMAKE_CURRENT_LIST_DIR}/package/rollmill_env_source.cmake)

function(rollmill_add_env type header)
  set(source ${CMAKE_BINARY_DIR}/generated/envs/${type}_cpu.cc)
  rollmill_env_source(${type} ${header} ${source} ${ROLLMILL_INEXACT})  # they come last, after -ffp-contract=off
  target_sources(rollmill_envs PRIVATE ${source})
  cmake_path(GET header PARENT_PATH folder)
  string(MAKE_C_IDENTIFIER "${folder}" folder)
  if(ROLLMILL_TOGETHER)
    set_source_files_properties(${source} PROPERTIES UNITY_GROUP ${folder})
  endif()
  set_property(GLOBAL APPEND PROPERTY ROLLMILL_ENV_TYPES ${type})
  set_property(GLOBAL APPEND PROPERTY ROLLMILL_ENV_HEADERS ${header})
  set_property(GLOBAL APPEND PROPERTY ROLLMILL_ENV_FOLDERS ${folder})
  if("${ARGN}" STREQUAL "FUSED")
    set_property(GLOBAL APPEND PROPERTY ROLLMILL_FUSED_ENVS ${type})
  elseif(ARGN)
    message(FATAL_ERROR "rollmill_add_env(${type} ${header} ${ARGN}): after the header only FUSED is known")
  endif()
endfunction()

# Writes the explicit table; call after the last rollmill_add_env.
function(rollmill_write_registry)
  get_property(types GLOBAL PROPERTY ROLLMILL_ENV_TYPES)
  set(declarations "")
  set(entries "")
  foreach(type IN LISTS types)
    string(APPEND declarations "EnvEntry ${type}_entry();\n")
    string(APPEND entries "      ${type}_entry(),\n")
  endforeach()
  set(source ${CMAKE_BINARY_DIR}/generated/envs/registry_table.cc)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT
"#include \"envs/registry.h\"

namespace rollmill {
@declarations@
std::vector<EnvEntry> builtin_envs() {
  return {
@entries@  };
}
}  // namespace rollmill
")
  target_sources(rollmill_envs PRIVATE ${source})
endfunction()
