// Small things that the files of checks share.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "envs/contract/runner.h"

namespace rollmill::contract {

using Broken = std::vector<std::string>;

inline BatchConfig check_config(int num_envs, int time_limit = -1) {
  BatchConfig c;
  c.num_envs = num_envs;
  c.seed = 0x123456789abcdefu;
  c.time_limit = time_limit;
  return c;
}

// Index of the first difference, or -1.
template <class T>
int first_difference(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) return 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!(a[i] == b[i])) return static_cast<int>(i);
  }
  return -1;
}

inline std::string text(std::int64_t x) { return std::to_string(x); }

// The checks, by file.
void check_description(const EnvEntry& entry, Broken& broken);
void check_parameters(const EnvEntry& entry, Broken& broken);
void check_repeatable(const EnvEntry& entry, Broken& broken);
void check_threads(const EnvEntry& entry, Broken& broken);
void check_batch_cuts(const EnvEntry& entry, Broken& broken);
void check_ranges_of_a_step(const EnvEntry& entry, Broken& broken);
void check_fresh_episodes(const EnvEntry& entry, Broken& broken);
void check_observe(const EnvEntry& entry, Broken& broken);
void check_outputs(const EnvEntry& entry, Broken& broken);
void check_optional_outputs(const EnvEntry& entry, Broken& broken);
void check_values(const EnvEntry& entry, Broken& broken);
void check_masks(const EnvEntry& entry, Broken& broken);
void check_expert(const EnvEntry& entry, Broken& broken);
void check_snapshots(const EnvEntry& entry, Broken& broken);
void check_branches(const EnvEntry& entry, Broken& broken);
void check_replay(const EnvEntry& entry, Broken& broken);
void check_autoreset(const EnvEntry& entry, Broken& broken);
void check_ends(const EnvEntry& entry, Broken& broken);
void check_statistics(const EnvEntry& entry, Broken& broken);
void check_episode_numbers(const EnvEntry& entry, Broken& broken);
void check_worlds(const EnvEntry& entry, Broken& broken);
void check_reset_pool(const EnvEntry& entry, Broken& broken);
void check_shortcuts(const EnvEntry& entry, Broken& broken);
void check_levels(const EnvEntry& entry, Broken& broken);

}  // namespace rollmill::contract
