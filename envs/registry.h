// The explicit table of environments. CMake writes the built-in ones from the calls of rollmill_add_env(); there are no
// static initialisers, and listing environments touches nothing else. Plugins add theirs before a command starts.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "envs/batch.h"

namespace rollmill {

class Canvas;    // envs/canvas.h
class TextView;  // envs/text_view.h

// Draw a state, given as EnvBatch::state_words and EnvBatch::params_of give it.
using RenderFunction = void (*)(const std::vector<double>& params, const std::uint32_t* state_words,
                                Canvas& canvas);
using TextFunction = void (*)(const std::vector<double>& params, const std::uint32_t* state_words,
                              TextView& view);

struct EnvEntry {
  const char* id;
  EnvSpec (*spec)();
  // pool outlives the batch; null runs on the calling thread.
  std::unique_ptr<EnvBatch> (*make_cpu)(const BatchConfig&, ThreadPool* pool);
  RenderFunction render = nullptr;  // null where the environment has no such view
  TextFunction text = nullptr;
};

// All environments: the built-in ones in the order of envs/CMakeLists.txt, then those of plugins.
const std::vector<EnvEntry>& env_registry();

// The built-in ones; written by CMake.
std::vector<EnvEntry> builtin_envs();

// Adds environments from `where` (a plugin's file), all or none. Throws Error(kBadData) for an id that is taken or empty.
// Not while another thread uses the registry, nor while anybody holds a reference into it.
void register_envs(const EnvEntry* entries, int count, const std::string& where);

// The entry of an id; throws a usage error that names the nearest known id.
const EnvEntry& find_env(const std::string& id);

}  // namespace rollmill
