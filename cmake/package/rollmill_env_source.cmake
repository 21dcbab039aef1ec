# rollmill_env_source(TYPE HEADER FILE): writes the CPU translation unit of an environment; it defines EnvEntry TYPE_entry().
# The same for this repository's environments and for plugins.
function(rollmill_env_source type header source)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT
"#include \"@header@\"
#include \"envs/cpu_entry.h\"

namespace rollmill {
EnvEntry @type@_entry() { return cpu_entry<@type@>(); }
}  // namespace rollmill
")
endfunction()
