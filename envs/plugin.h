// Environments from shared objects outside this repository: `--plugin PATH.so` on any command.
//
// A plugin is one translation unit for each environment (the same that an environment of this repository gets), and three
// C functions, which cmake/package/rollmill_plugin.cmake writes:
//
//   int rollmill_plugin_version();                    // kPluginVersion it was built with
//   const char* rollmill_plugin_build();              // plugin_build() it was built with
//   const rollmill::EnvEntry* rollmill_plugin_envs(int* count);
//
// It links nothing: what it needs of the program (Canvas, ThreadPool) the executable exports. All its other symbols are
// local, so that a type of the same name in the program, or in another plugin, is another type.
#pragma once

#include <string>
#include <vector>

namespace rollmill {

// Of the three functions' meaning; everything else that must fit is in plugin_build().
inline constexpr int kPluginVersion = 1;

// What both sides must agree on: compiler, library ABI, options that change types, and the headers, by their hash.
#if defined(__clang__)
#define RM_PLUGIN_COMPILER "clang++ " RM_PLUGIN_TEXT(__clang_major__)
#else
#define RM_PLUGIN_COMPILER "g++ " RM_PLUGIN_TEXT(__GNUC__)
#endif
#define RM_PLUGIN_TEXT_OF(x) #x
#define RM_PLUGIN_TEXT(x) RM_PLUGIN_TEXT_OF(x)
#if defined(RM_ENABLE_VALIDATE)
#define RM_PLUGIN_VALIDATE ", validating"
#else
#define RM_PLUGIN_VALIDATE ""
#endif
#define RM_PLUGIN_BUILD(headers_hash)                                                          \
  RM_PLUGIN_COMPILER ", string ABI " RM_PLUGIN_TEXT(_GLIBCXX_USE_CXX11_ABI) RM_PLUGIN_VALIDATE \
      ", headers " headers_hash

#if defined(__FAST_MATH__)
#error "environments are compiled without -ffast-math: the same bits everywhere"
#endif

// RM_PLUGIN_BUILD of this program; written by CMake.
const char* plugin_build();

// Adds the environments of each file to env_registry(), in order; a file that is already loaded adds nothing. Throws
// Error(kBadData) that names the file and what is wrong with it: missing, no plugin, another version or build, an id that is
// taken. For the main thread, before anything holds a reference into the registry.
void load_plugins(const std::vector<std::string>& paths);

}  // namespace rollmill
