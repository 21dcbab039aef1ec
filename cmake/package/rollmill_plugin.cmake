# rollmill_add_env(TYPE HEADER [PLUGIN NAME]): in an environment's own project, after find_package(rollmill), the line that an
# environment of Rollmill's repository has. Adds the environment to the plugin NAME (default: the project's name), which
# becomes NAME.so in the build folder. Several environments may share a plugin.
function(rollmill_add_env type header)
  cmake_parse_arguments(E "" "PLUGIN" "" ${ARGN})
  if(NOT E_PLUGIN)
    set(E_PLUGIN ${PROJECT_NAME})
  endif()
  if(NOT TARGET ${E_PLUGIN})
    _rollmill_start_plugin(${E_PLUGIN})
  endif()
  set(source ${CMAKE_CURRENT_BINARY_DIR}/${E_PLUGIN}.generated/${type}_cpu.cc)
  rollmill_env_source(${type} ${header} ${source})
  target_sources(${E_PLUGIN} PRIVATE ${source})
  set_property(TARGET ${E_PLUGIN} APPEND PROPERTY ROLLMILL_TYPES ${type})
endfunction()

# Only the three functions of envs/plugin.h are seen from outside.
function(_rollmill_start_plugin plugin)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/${plugin}.generated)
  set(symbols ${folder}/exported.map)
  file(CONFIGURE OUTPUT ${symbols} @ONLY CONTENT
"{ global: rollmill_plugin_version; rollmill_plugin_build; rollmill_plugin_envs; local: *; };\n")
  set(hash ${folder}/rollmill_headers_hash.h)
  rollmill_shared_headers(${rollmill_INCLUDE_DIR} headers)
  list(TRANSFORM headers PREPEND ${rollmill_INCLUDE_DIR}/)
  add_custom_command(OUTPUT ${hash} DEPENDS ${headers} COMMENT "Hashing Rollmill's headers"
    COMMAND ${CMAKE_COMMAND} -DROOT=${rollmill_INCLUDE_DIR} -DOUT=${hash} -P ${rollmill_CMAKE_DIR}/rollmill_headers.cmake)
  add_library(${plugin} MODULE ${hash})
  target_include_directories(${plugin} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${folder})
  target_link_libraries(${plugin} PRIVATE rollmill::env)
  target_link_options(${plugin} PRIVATE -Wl,--version-script=${symbols})
  set_target_properties(${plugin} PROPERTIES PREFIX "" SUFFIX .so LINK_DEPENDS ${symbols} POSITION_INDEPENDENT_CODE ON)
  cmake_language(EVAL CODE "cmake_language(DEFER CALL _rollmill_end_plugin [[${plugin}]] [[${folder}]])")
endfunction()

# At the end of the folder's CMakeLists.txt, when all environments are known: the table.
function(_rollmill_end_plugin plugin folder)
  get_target_property(types ${plugin} ROLLMILL_TYPES)
  set(declarations "")
  set(entries "")
  foreach(type IN LISTS types)
    string(APPEND declarations "EnvEntry ${type}_entry();\n")
    string(APPEND entries "rollmill::${type}_entry(), ")
  endforeach()
  set(source ${folder}/plugin.cc)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT
"#include \"envs/plugin.h\"

#include \"envs/registry.h\"
#include \"rollmill_headers_hash.h\"

namespace rollmill {
@declarations@}  // namespace rollmill

extern \"C\" int rollmill_plugin_version() { return rollmill::kPluginVersion; }
extern \"C\" const char* rollmill_plugin_build() { return RM_PLUGIN_BUILD(RM_HEADERS_HASH); }
extern \"C\" const rollmill::EnvEntry* rollmill_plugin_envs(int* count) {
  static const rollmill::EnvEntry entries[] = {@entries@};
  *count = static_cast<int>(sizeof entries / sizeof entries[0]);
  return entries;
}
")
  target_sources(${plugin} PRIVATE ${source})
endfunction()
