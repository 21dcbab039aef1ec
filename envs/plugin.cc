#include "envs/plugin.h"

#include <dlfcn.h>
#include <elf.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "core/base/error.h"
#include "core/base/module_loader.h"
#include "envs/registry.h"

namespace rollmill {
namespace {

constexpr const char* kVersionSymbol = "rollmill_plugin_version";
constexpr const char* kBuildSymbol = "rollmill_plugin_build";
constexpr const char* kEnvsSymbol = "rollmill_plugin_envs";

std::string absolute_file(const std::string& path) {
  std::error_code error;
  const std::filesystem::path file = std::filesystem::canonical(path, error);
  if (error) fail_data("plugin '" + path + "' cannot be opened: " + error.message());
  if (!std::filesystem::is_regular_file(file, error))
    fail_data("plugin '" + path + "' is not a file; give the .so that its project builds");
  return file.string();
}

template <class Function>
Function symbol(void* module, const std::string& file, const char* name) {
  void* address = dlsym(module, name);
  if (address == nullptr) {
    fail_data("plugin " + file + " has no " + name +
              ": it is no plugin of Rollmill (rollmill_add_env makes one, see `rollmill new-env`)");
  }
  return reinterpret_cast<Function>(address);
}

// The loader maps what the header promises and dies of a bus error where a file ends before it. The table of sections stands last.
void check_whole(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  Elf64_Ehdr header{};
  in.read(reinterpret_cast<char*>(&header), sizeof header);
  if (!in || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return;  // the loader's to say
  const std::uint64_t end = header.e_shoff + std::uint64_t{header.e_shentsize} * header.e_shnum;
  if (std::filesystem::file_size(file) < end)
    fail_data("plugin " + file + " is cut off: it is shorter than its header says; build it again");
}

void load(const std::string& file) {
  check_whole(file);
  void* module = open_module(file, fail_data);
  const int version = symbol<int (*)()>(module, file, kVersionSymbol)();
  if (version != kPluginVersion) {
    fail_data("plugin " + file + " has plugin version " + std::to_string(version) +
              ", this program wants " + std::to_string(kPluginVersion) +
              "; build it against this program's package");
  }
  const std::string build = symbol<const char* (*)()>(module, file, kBuildSymbol)();
  if (build != plugin_build()) {
    fail_data("plugin " + file + " was built otherwise than this program (" + build +
              "; program: " + plugin_build() + "); build it again against this program's package");
  }
  int count = 0;
  const EnvEntry* entries = symbol<const EnvEntry* (*)(int*)>(module, file, kEnvsSymbol)(&count);
  register_envs(entries, count, file);
}

}  // namespace

void load_plugins(const std::vector<std::string>& paths) {
  static std::vector<std::string> loaded;
  for (const std::string& path : paths) {
    const std::string file = absolute_file(path);
    if (std::find(loaded.begin(), loaded.end(), file) != loaded.end()) continue;
    load(file);
    loaded.push_back(file);
  }
}

}  // namespace rollmill
