#include "core/base/module_loader.h"

#include <dlfcn.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <map>
#include <mutex>
#include <vector>

#include "core/base/assert.h"

namespace rollmill {
namespace {

std::string executable_folder() {
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  if (length <= 0) return ".";
  const std::string text(path, static_cast<std::size_t>(length));
  return text.substr(0, text.rfind('/'));
}

std::string find_module(const char* file, void (*on_failure)(const std::string&)) {
  const char* chosen = std::getenv("ROLLMILL_MODULE_DIR");
  const std::string here = executable_folder();
  std::vector<std::string> folders = {here, here + "/../lib", here + "/../lib/rollmill"};
  if (chosen != nullptr && *chosen != '\0') folders = {chosen};
  for (const std::string& folder : folders) {
    const std::string path = folder + "/" + file;
    if (access(path.c_str(), R_OK) == 0) return path;
  }
  on_failure(std::string(file) + " was not found in " + folders.front() +
             (folders.size() > 1 ? " or ../lib beside it" : "") +
             "; build it (./rollmill build) or point ROLLMILL_MODULE_DIR at its folder");
  return {};
}

}  // namespace

void* module_symbol(void* module, const char* file, const char* symbol,
                    void (*on_failure)(const std::string&)) {
  void* address = dlsym(module, symbol);
  if (address == nullptr) {
    on_failure(std::string(file) + " has no symbol " + symbol +
               ": it is of another build; build again");
  }
  return address;
}

void* open_module(const std::string& path, void (*on_failure)(const std::string&)) {
  // Local: two modules may link the same static code. Never closed: threads of the libraries inside
  // outlive us.
  void* module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) {
    const char* reason = dlerror();
    on_failure("cannot load " + path + ": " + (reason != nullptr ? reason : "unknown reason") +
               "; is the library it was built against still there?");
  }
  return module;
}

void* load_module(const char* file, const char* version_symbol, int version,
                  void (*on_failure)(const std::string&)) {
  static std::mutex mutex;
  static std::map<std::string, void*> open;
  const std::lock_guard lock(mutex);
  if (const auto found = open.find(file); found != open.end()) return found->second;
  const std::string path = find_module(file, on_failure);
  void* module = open_module(path, on_failure);
  const auto module_version =
      reinterpret_cast<int (*)()>(module_symbol(module, file, version_symbol, on_failure));
  if (module_version() != version) {
    on_failure(path + " has module version " + std::to_string(module_version()) +
               ", this program wants " + std::to_string(version) + "; build again");
  }
  open[file] = module;
  return module;
}

}  // namespace rollmill
