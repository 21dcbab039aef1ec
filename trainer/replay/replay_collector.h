// Fills a replay buffer: the environments of an off-policy trainer, one step of all of them at a time. Each rank steps its own
// ones; every rank's buffer holds what those of all ranks did.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/device/device.h"
#include "envs/registry.h"
#include "rollout/collector.h"
#include "rollout/policy.h"
#include "trainer/replay/off_policy_options.h"
#include "trainer/replay/replay_buffer.h"
#include "trainer/replay/step_exchange.h"
#include "trainer/update_report.h"

namespace rollmill {

class ReplayCollector {
 public:
  // config: this rank's environments; replay: those of all ranks. device: the CPU, or "check". pool and group outlive the
  // collector. Collective.
  ReplayCollector(const EnvEntry& env, const BatchConfig& config, const DeviceChoice& device,
                  const ReplayConfig& replay, ThreadPool& pool, ProcessGroup& group);

  EnvBatch& batch() { return *batch_; }
  ReplayBuffer& replay() { return replay_; }
  const ReplayBuffer& replay() const { return replay_; }

  void reset();  // collective
  // `policy` acts in every environment of this rank. Of a single rank the replay gets the step at once, and `finished` the
  // episodes that it ends.
  void step(const Policy& policy, std::vector<EpisodeRecord>& finished);
  // With several ranks the replay gets what all of their environments did since the last call, and `finished` the episodes
  // that ended: in (time, environment) order, as a single rank's. Collective.
  void share(std::vector<EpisodeRecord>& finished);

  // Seconds of the steps since the last call that went into the environments: of several threads the share of their time together.
  double take_environment_seconds() { return std::exchange(environment_seconds_, 0.0); }

  void save(H5Group& root) const { replay_.save(root); }
  // As Trainer::read. The batch must have been restored when the result is called.
  std::function<void()> read(const H5Group& root, const std::string& path);

 private:
  using Clock = std::chrono::steady_clock;
  struct BlockTime {
    Clock::duration environment{}, all{};
  };

  void store(const RolloutBuffer& step, const Word* final_masks,
             std::vector<EpisodeRecord>& finished);

  std::unique_ptr<EnvBatch> batch_;
  HostRollout rollout_;                     // horizon 1, of this rank's environments
  std::vector<std::uint32_t> final_masks_;  // [M][stride]
  ReplayBuffer replay_;
  std::optional<StepExchange> exchange_;  // of several ranks
  ThreadPool& pool_;
  int block_;
  std::vector<BlockTime> times_;  // of each block of the last step
  double environment_seconds_ = 0;
};

// The turns of one report: train_every times act(finished), a step of all environments, then updates_per_step times learn(), once
// learning_starts steps are made. Ranks exchange their steps once a turn, for nobody looks at them before it learns. env_steps
// counts along, over all environments of all ranks; times go into the report.
template <class Act, class Learn>
void run_turns(const OffPolicyOptions& r, ReplayCollector& collector, std::int64_t& env_steps,
               std::vector<EpisodeRecord>& finished, UpdateReport& report, Act&& act,
               Learn&& learn) {
  using Clock = std::chrono::steady_clock;
  const auto seconds_since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  for (int made = 0; made < r.report_every; made += r.train_every) {
    const auto start = Clock::now();
    for (int t = 0; t < r.train_every; ++t) {
      act(finished);
      env_steps += collector.replay().num_envs();
    }
    collector.share(finished);
    report.collect_seconds += seconds_since(start);
    const auto learn_start = Clock::now();
    const bool ready = env_steps >= r.learning_starts && collector.replay().size() > 0;
    for (int u = 0; ready && u < r.updates_per_step; ++u) learn();
    report.learn_seconds += seconds_since(learn_start);
  }
  report.env_seconds = collector.take_environment_seconds();
}

}  // namespace rollmill
