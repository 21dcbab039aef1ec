// Replay: re-executes every episode of a dataset from its recorded seed and actions and compares bit for bit.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

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

}  // namespace rollmill
