#include <fmt/core.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/env_skeleton.h"
#include "cli/output.h"
#include "core/base/error.h"
#include "core/io/atomic_file.h"
#include "envs/registry.h"

namespace rollmill {
namespace {

namespace fs = std::filesystem;
using Files = std::vector<std::pair<std::string, std::string>>;  // path, text

constexpr const char* kEnvList = "envs/CMakeLists.txt";
constexpr const char* kTestList = "tests/CMakeLists.txt";

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) fail_io("cannot read " + path);
  return text.str();
}

void refuse_existing(const Files& files) {
  for (const auto& [path, text] : files) {
    if (fs::exists(path)) fail_usage(path + " is already there; nothing was written");
  }
}

void write_new(const Files& files) {
  refuse_existing(files);
  for (const auto& [path, text] : files) {
    const fs::path folder = fs::path(path).parent_path();
    if (!folder.empty()) fs::create_directories(folder);
    write_file_atomic(path, text);
  }
}

std::string listing(const Files& files) {
  std::string text;
  for (const auto& [path, content] : files) text += "  wrote    " + path + "\n";
  return text;
}

// Where rollmillConfig.cmake of this very program is, if it has one beside it.
std::string package_folder() {
  std::error_code error;
  const fs::path here = fs::read_symlink("/proc/self/exe", error).parent_path().parent_path();
  for (const char* below : {"", "lib/cmake/rollmill", "lib64/cmake/rollmill"}) {
    const fs::path folder = (here / below).lexically_normal();
    if (fs::exists(folder / "rollmillConfig.cmake", error)) return folder.string();
  }
  return "FOLDER_OF_rollmillConfig.cmake";
}

// A project of its own: header, config, CMakeLists.txt.
int make_plugin(EnvNames names, const std::string& folder) {
  const Files files = {
      {folder + "/CMakeLists.txt", filled_template("CMakeLists.txt", names)},
      {folder + "/" + names.header, filled_template("my_env.h", names)},
      {folder + "/" + names.file + "_ppo.toml", filled_template("my_env_ppo.toml", names)}};
  write_new(files);
  const std::string plugin = " --plugin " + folder + "/build/" + names.file + ".so";
  print_out(listing(files) + "next:\n  cmake -S " + folder + " -B " + folder +
            "/build -Drollmill_DIR=" + package_folder() + "\n  cmake --build " + folder +
            "/build && ctest --test-dir " + folder + "/build\n  rollmill check-env " + names.id +
            plugin + "\n  rollmill play " + names.id + plugin + "\n  rollmill train " + folder +
            "/" + names.file + "_ppo.toml" + plugin + "\n");
  return 0;
}

// "envs/walks" from "envs/walks/": below envs/, in a checkout whose root this is.
std::string family_folder(const std::string& asked) {
  if (!fs::exists(kEnvList) || !fs::exists(kTestList)) {
    fail_usage(
        "here is no checkout of Rollmill (no envs/CMakeLists.txt): go to its root, or make a "
        "project of your own with --plugin DIR");
  }
  const std::string folder = fs::path(asked + "/").lexically_normal().parent_path().string();
  if (folder.rfind("envs/", 0) != 0)
    fail_usage("--dir must lie below envs/, as in envs/walks; '" + asked + "' does not");
  return folder;
}

int make_in_tree(EnvNames names, const std::string& asked) {
  const std::string folder = family_folder(asked.empty() ? "envs/" + names.file : asked);
  names.header = folder + "/" + names.header;
  const std::string test = folder + "/" + names.file + "_test.cc";  // below tests/
  const Files files = {
      {names.header, filled_template("my_env.h", names)},
      {"configs/" + names.file + "_ppo.toml", filled_template("my_env_ppo.toml", names)},
      {"tests/" + test, filled_template("my_env_test.cc", names)}};
  const std::string envs = read_text(kEnvList);
  if (envs.find("rollmill_add_env(" + names.type + " ") != envs.npos)
    fail_usage(std::string(kEnvList) + " already has an environment " + names.type);
  const std::string with_env =
      with_line_before(envs, "rollmill_write_registry()",
                       "rollmill_add_env(" + names.type + " " + names.header + ")\n", kEnvList);
  const std::string with_test =
      with_line_before(read_text(kTestList), "# datasets/",
                       "rollmill_add_test(" + names.file + "_test LABELS unit\n  SOURCES " + test +
                           "\n  LIBRARIES rollmill_envs)\n\n",
                       kTestList);
  write_new(files);
  write_file_atomic(kEnvList, with_env);
  write_file_atomic(kTestList, with_test);
  print_out(listing(files) + "  changed  " + kEnvList + ", " + kTestList + "\nnext:\n" +
            "  ./rollmill build\n  ./rollmill check-env " + names.id + "\n  ./rollmill play " +
            names.id + "\n  ./rollmill train configs/" + names.file +
            "_ppo.toml\n  ./rollmill test -R '" + names.file +
            "|contract'   # add the golden hash that it asks for: see CONTRIBUTING.md\n");
  return 0;
}

}  // namespace

int run_new_env(const Arguments& arguments) {
  std::string type, folder, plugin, id;
  Args parser("new-env",
              "Makes the skeleton of an environment that runs: header, config, test, CMake line.",
              Args::kWithoutPlugins);
  parser.positional("NAME", type, "the environment's type, as in LineWalk");
  parser.option("--dir", folder, "folder of the header in a checkout (default envs/NAME)");
  parser.option("--plugin", plugin, "make a project of its own in this folder instead");
  parser.option("--id", id, "id (default Rollmill/NAME-v0; My/NAME-v0 with --plugin)");
  if (!parser.parse(arguments)) return 0;
  if (!folder.empty() && !plugin.empty()) fail_usage("--dir and --plugin exclude each other");
  const EnvNames names = env_names(type, id, plugin.empty() ? "Rollmill" : "My");
  for (const EnvEntry& entry : env_registry()) {
    if (names.id == entry.id)
      fail_usage("environment '" + names.id + "' is already there; choose another --id");
  }
  return plugin.empty() ? make_in_tree(names, folder) : make_plugin(names, plugin);
}

}  // namespace rollmill
