// What `rollmill render` is asked to show: an environment, a trained policy in its environment, or a recorded episode.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "datasets/shard.h"
#include "envs/registry.h"
#include "generators/policies.h"

namespace rollmill {

struct FilmRequest {
  std::string target;  // environment id; run, checkpoint or policy file; dataset folder
  std::string
      policy;  // "random", "expert" or a path, for an environment; empty: expert if it has one, else random
  std::vector<std::string> set;       // overrides of environment keys; not for a dataset
  std::optional<std::uint64_t> seed;  // instead of the evaluation seed; not for a dataset
  std::int64_t episode = 0;
  bool greedy = true;
};

struct FilmTarget {
  const EnvEntry* entry = nullptr;
  BatchConfig config;
  LoadedPolicy policy;
  std::string actor;  // in words
  ShardData shard;    // of a dataset: the recorded actions
};

// Errors: nothing of that name, options that do not go with it (usage), damaged files (bad data).
std::unique_ptr<FilmTarget> find_film_target(const FilmRequest& request);

}  // namespace rollmill
