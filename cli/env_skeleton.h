// The files of a new environment, made from envs/template by putting other names in. Nothing is written here.
#pragma once

#include <map>
#include <string>

namespace rollmill {

// The template's files by name, as they lie in the repository (cmake/env_template.cmake).
const std::map<std::string, std::string>& env_template();

struct EnvNames {
  std::string type;    // "LineWalk"
  std::string file;    // "line_walk"
  std::string id;      // "My/LineWalk-v0"
  std::string header;  // as an include names it: "envs/walks/line_walk.h"
};

// Checks a type and an id (empty: made from the type) and derives the rest, with header = file + ".h". Throws a usage error
// that says what a good name is.
EnvNames env_names(const std::string& type, const std::string& id, const std::string& owner);

// A file of the template with the names in it.
std::string filled_template(const std::string& name, const EnvNames& names);

// `text` with `line` before the first line that starts with `mark`; throws a usage error naming `path` if there is none.
std::string with_line_before(const std::string& text, const std::string& mark,
                             const std::string& line, const std::string& path);

}  // namespace rollmill
