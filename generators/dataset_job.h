// `rollmill generate`: episodes of one environment and one policy into dataset shards.
// The shard is the unit of work: shard k holds episodes [k * shard_episodes, (k + 1) * shard_episodes), whoever makes it, so
// the dataset's content does not depend on ranks, threads, kills and resumes. A job for a number of transitions ends with the
// episode, in episode order, whose last row passes it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "datasets/manifest.h"
#include "envs/env_options.h"
#include "envs/registry.h"
#include "rollout/policy.h"

namespace rollmill {

class Config;
class ProcessGroup;
class ThreadPool;

struct GenerateOptions {
  std::string name;
  std::uint64_t seed = 1;
  int threads = 0;
  EnvOptions env;
  std::string policy = "random";  // "random", "expert", or a run, checkpoint or policy file
  bool greedy = false;            // of a trained policy
  std::int64_t transitions = 0;   // at least this many; or
  std::int64_t episodes = 0;      // exactly this many
  std::int64_t shard_transitions = 1'000'000;  // about; a shard has a fixed number of episodes
  bool compress = false;
  bool policy_outputs = false;  // logprobs and values columns
};

GenerateOptions read_generate_options(Config& config);

struct GenerateProgress {
  std::int64_t transitions = 0, episodes = 0, shards = 0;
};

struct GenerateResult {
  Manifest manifest;
  bool already_done = false;
  std::int64_t new_transitions = 0;
};

// Collective. `stop` is asked from any thread of the pool, every few steps, and once true stays true: it ends the job
// early, leaves the shard that is under way and keeps those that are finished (the manifest stays "running").
// config_text: the resolved config. Throws Error.
GenerateResult run_dataset_job(const GenerateOptions& options, const Policy& policy,
                               const std::string& out_dir, bool resume,
                               const std::string& config_text, ProcessGroup& group,
                               ThreadPool& pool,
                               const std::function<void(const GenerateProgress&)>& progress,
                               const std::function<bool()>& stop);

}  // namespace rollmill
