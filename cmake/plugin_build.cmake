# plugin_build() of envs/plugin.h: what the program was built with, headers included, which a plugin must match. A header that
# changes is hashed again at build time.
include(package/rollmill_headers)
rollmill_shared_headers(${CMAKE_SOURCE_DIR} _rm_headers)
list(TRANSFORM _rm_headers PREPEND ${CMAKE_SOURCE_DIR}/)
set(_rm_folder ${CMAKE_BINARY_DIR}/generated/plugin)
set(_rm_script ${CMAKE_SOURCE_DIR}/cmake/package/rollmill_headers.cmake)
add_custom_command(OUTPUT ${_rm_folder}/rollmill_headers_hash.h DEPENDS ${_rm_headers} ${_rm_script}
  COMMENT "Hashing the headers that plugins share"
  COMMAND ${CMAKE_COMMAND} -DROOT=${CMAKE_SOURCE_DIR} -DOUT=${_rm_folder}/rollmill_headers_hash.h -P ${_rm_script})
file(CONFIGURE OUTPUT ${_rm_folder}/plugin_build.cc @ONLY CONTENT
"#include \"envs/plugin.h\"
#include \"${_rm_folder}/rollmill_headers_hash.h\"
namespace rollmill {
const char* plugin_build() { return RM_PLUGIN_BUILD(RM_HEADERS_HASH); }
}  // namespace rollmill
")
target_sources(rollmill_envs PRIVATE ${_rm_folder}/plugin_build.cc ${_rm_folder}/rollmill_headers_hash.h)
