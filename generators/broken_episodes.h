// What run_episodes tells of environments that broke, from all of its threads.
#pragma once

#include <algorithm>
#include <mutex>
#include <vector>

#include "envs/fault_trace.h"
#include "generators/episode_runner.h"

namespace rollmill {

class BrokenEpisodes {
 public:
  // job must not outlive the object.
  void watch(EpisodeJob& job) {
    job.on_faults = [this](const EnvBatch::Faults& found) {
      const std::lock_guard lock(mutex_);
      found_.count += found.count;
      for (const Fault& f : found.described) add_fault(found_.described, f);
    };
  }
  // Those of episodes below `end`: lanes play on while others end.
  EnvBatch::Faults before(std::int64_t end) const {
    EnvBatch::Faults faults = found_;
    std::erase_if(faults.described, [end](const Fault& f) { return f.episode >= end; });
    return faults;
  }
  const EnvBatch::Faults& all() const { return found_; }

 private:
  std::mutex mutex_;
  EnvBatch::Faults found_;
};

}  // namespace rollmill
