#include "cli/env_skeleton.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "core/base/error.h"

namespace rollmill {
namespace {

// What a header of an environment already calls by these names.
const std::set<std::string> kTaken = {
    "Action",      "Args",      "Box",     "Canvas",   "Color",      "Config",     "CpuBatch",
    "Discrete",    "Draws",     "Error",   "EnvBatch", "EnvEntry",   "EnvInfo",    "EnvSpec",
    "Fault",       "FieldInfo", "Grid",    "Ints",     "Mixed",      "MyEnv",      "MultiDiscrete",
    "Observation", "Params",    "Picture", "Pixels",   "Planes",     "Point",      "Rect",
    "Rng",         "State",     "Strided", "TextView", "ThreadPool", "Transition", "Word",
    "Words",       "World"};

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

void check_type(const std::string& type) {
  const bool camel =
      !type.empty() && type.size() <= 64 && type[0] >= 'A' && type[0] <= 'Z' &&
      std::all_of(type.begin(), type.end(), [](char c) { return is_word(c) && c != '_'; });
  if (!camel) {
    fail_usage("'" + type +
               "' is no name for an environment's type: it takes a capital letter, then "
               "letters and digits, as in LineWalk");
  }
  if (kTaken.count(type) != 0)
    fail_usage("'" + type + "' is the name of something an environment uses; choose another");
}

// Gymnasium's form: Namespace/Name-v0; the namespace may be missing.
void check_id(const std::string& id) {
  const std::size_t version = id.rfind("-v");
  bool good = version != id.npos && version > 0 && version + 2 < id.size() && id.size() <= 128 &&
              std::count(id.begin(), id.end(), '/') <= 1 && id[0] != '/' && id[version - 1] != '/';
  for (std::size_t k = 0; good && k < id.size(); ++k) {
    good = k >= version + 2 ? std::isdigit(static_cast<unsigned char>(id[k])) != 0
                            : is_word(id[k]) || id[k] == '/' || id[k] == '-' || id[k] == '.';
  }
  if (!good) fail_usage("'" + id + "' is no id: it looks like My/LineWalk-v0");
}

std::string snake_case(const std::string& type) {
  std::string snake;
  for (std::size_t k = 0; k < type.size(); ++k) {
    const bool upper = std::isupper(static_cast<unsigned char>(type[k])) != 0;
    const bool after_lower = k > 0 && std::isupper(static_cast<unsigned char>(type[k - 1])) == 0;
    const bool before_lower =
        k + 1 < type.size() && std::islower(static_cast<unsigned char>(type[k + 1])) != 0;
    if (upper && k > 0 && (after_lower || before_lower)) snake += '_';
    snake += static_cast<char>(std::tolower(static_cast<unsigned char>(type[k])));
  }
  return snake;
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (std::size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

}  // namespace

EnvNames env_names(const std::string& type, const std::string& id, const std::string& owner) {
  check_type(type);
  EnvNames names;
  names.type = type;
  names.file = snake_case(type);
  names.id = id.empty() ? owner + "/" + type + "-v0" : id;
  names.header = names.file + ".h";
  check_id(names.id);
  return names;
}

// Longest first; marks without letters of the names keep what is put in from being replaced again.
std::string filled_template(const std::string& name, const EnvNames& names) {
  std::string text = env_template().at(name);
  replace_all(text, "envs/template/my_env.h", "\1");
  replace_all(text, "Rollmill/MyEnv-v0", "\2");
  replace_all(text, "MyEnv", "\3");
  replace_all(text, "my_env", "\4");
  replace_all(text, "\1", names.header);
  replace_all(text, "\2", names.id);
  replace_all(text, "\3", names.type);
  replace_all(text, "\4", names.file);
  return text;
}

std::string with_line_before(const std::string& text, const std::string& mark,
                             const std::string& line, const std::string& path) {
  const std::size_t at = text.rfind(mark, 0) == 0 ? 0 : text.find("\n" + mark);
  if (at == text.npos)
    fail_usage(path + " has no line '" + mark + "' to put the new environment before");
  const std::size_t begin = at == 0 ? 0 : at + 1;
  return text.substr(0, begin) + line + text.substr(begin);
}

}  // namespace rollmill
