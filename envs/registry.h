// The explicit table of environments. CMake writes envs/registry.cc from the calls of rollmill_add_env(); there
// are no static initialisers, and listing environments touches nothing else.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "envs/batch.h"

namespace rollmill {

struct EnvEntry {
  const char* id;
  EnvSpec (*spec)();
  // pool outlives the batch; null runs on the calling thread.
  std::unique_ptr<EnvBatch> (*make_cpu)(const BatchConfig&, ThreadPool* pool);
  // The scripted expert on columns [begin, end) of observations [D][stride]; null where the environment has none.
  void (*expert)(const std::vector<double>& params, const float* observations, std::int64_t stride,
                 int begin, int end, void* actions);
};

const std::vector<EnvEntry>& env_registry();

// The entry of an id; throws a usage error that names the nearest known id.
const EnvEntry& find_env(const std::string& id);

}  // namespace rollmill
