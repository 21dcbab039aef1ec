// What a training run is beside its algorithm: options, ranks, threads, the environment's facts, counters, the window of
// recent episodes and the curriculum. Every trainer has one.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/dist/process_group.h"
#include "trainer/train_options.h"
#include "trainer/update_report.h"

namespace rollmill {

// Recent episodes and counters: what the loop remembers beside weights and environments.
struct TrainProgress {
  std::int64_t update = 0, env_steps = 0, episodes = 0;
  std::deque<EpisodeRecord> recent;
};

struct TrainRun {
  TrainRun(const TrainOptions& options, ProcessGroup& group);

  TrainOptions options;
  ProcessGroup& group;
  std::unique_ptr<ThreadPool> pool;
  EnvSpec spec;
  TrainProgress progress;
  Curriculum curriculum;
  std::function<bool()> stop;  // asked within long steps, too (UpdateReport::stopped); null: never

  // Whether any rank was asked to. Collective.
  bool stopped() const;
  // All steps done, or the last episodes' mean return has reached stop.mean_return.
  bool finished() const;
  // This rank's share of the environments.
  BatchConfig batch_config() const;
  // Finished episodes of all ranks, in rank order, from this rank's. Collective.
  std::vector<EpisodeRecord> of_all_ranks(std::vector<EpisodeRecord> mine) const;
  // Counts an update of `new_steps` environment steps and its finished episodes, both of all ranks and the same on each, so that
  // all keep the same window and stop at the same update. Moves the curriculum, which changes the batch's world, and fills
  // the counters of the report.
  void count(const std::vector<EpisodeRecord>& finished, std::int64_t new_steps, EnvBatch& batch,
             UpdateReport& report);
};

}  // namespace rollmill
