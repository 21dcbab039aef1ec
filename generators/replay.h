// Replay: re-executes every episode of a dataset from its recorded seed and actions and compares bit for bit.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "datasets/format.h"
#include "datasets/shard.h"
#include "envs/registry.h"
#include "rollout/policy.h"

namespace rollmill {

class ThreadPool;

struct ReplayReport {
  std::int64_t episodes = 0, steps = 0;  // compared
  bool equal = true;
  // The first difference in episode order:
  std::int64_t episode = -1, step = -1;  // step within the episode
  std::string field, recorded, replayed;
  std::string shard;
};

// Throws Error for a dataset that cannot be read or of an unknown environment. progress(episodes done).
ReplayReport replay_dataset(const std::string& dir, ThreadPool& pool,
                            const std::function<void(std::int64_t)>& progress);

// The shard's recorded actions as a policy: in episode e, step t it does what was done there. Throws Error kBadData, naming
// `where`, for a shard whose columns or actions are not the environment's. The shard must outlive it.
std::unique_ptr<Policy> recorded_policy(const EnvEntry& entry, const DatasetSpec& spec,
                                        const ShardData& shard, const std::string& where);

}  // namespace rollmill
