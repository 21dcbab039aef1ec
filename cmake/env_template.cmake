# The texts that `rollmill new-env` writes from, inside the program: an installed one has no source tree. They are files that
# are built and tested as they stand (tests/envs/template).
set(_rm_entries "")
foreach(_rm_file envs/template/my_env.h envs/template/my_env_ppo.toml envs/template/plugin/CMakeLists.txt
    tests/envs/template/my_env_test.cc)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${_rm_file})
  file(READ ${CMAKE_SOURCE_DIR}/${_rm_file} _rm_text)
  get_filename_component(_rm_name ${_rm_file} NAME)
  string(APPEND _rm_entries "    {\"${_rm_name}\", R\"rm_template(${_rm_text})rm_template\"},\n")
endforeach()
set(_rm_source ${CMAKE_BINARY_DIR}/generated/env_template.cc)
file(CONFIGURE OUTPUT ${_rm_source} @ONLY CONTENT
"#include \"cli/env_skeleton.h\"

namespace rollmill {
const std::map<std::string, std::string>& env_template() {
  static const std::map<std::string, std::string> files = {
@_rm_entries@  };
  return files;
}
}  // namespace rollmill
")
target_sources(rollmill PRIVATE ${_rm_source})
