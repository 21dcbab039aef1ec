// One episode of one environment, step by step, for whoever wants to look at it between steps. It is the same episode that
// run_episodes plays under this seed and number (generators/episode_runner.h). An ended one stays at its last state.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "envs/registry.h"
#include "rollout/buffer.h"
#include "rollout/policy.h"

namespace rollmill {

class SoloEpisode {
 public:
  // Starts episode config.first_episode. num_envs and autoreset of the config are overruled.
  // policy: who will act, if a policy will; the episode keeps the frames and the memory that it needs.
  SoloEpisode(const EnvEntry& entry, BatchConfig config, const Policy* policy = nullptr);

  const EnvEntry& entry() const { return entry_; }
  const EnvSpec& spec() const { return batch_->spec(); }
  EnvBatch& batch() { return *batch_; }

  // What happens next: by a policy, or as words, int32 for choices, then float32 (envs/spaces.h). The episode must not have
  // ended.
  void step(const Policy& policy);
  void step(const std::vector<std::uint32_t>& action);
  // Whether the state's mask allows choice `choice` of all choices counted through.
  bool allowed(int choice) const;

  std::int64_t steps() const { return now_.steps; }
  float reward() const { return now_.reward; }  // of the last step
  double episode_return() const { return now_.episode_return; }
  bool ended() const { return now_.end != kRunning; }
  std::string outcome() const;  // why it ended; empty while it goes on

  // Where it stands. What save() gave, load() goes back to.
  struct Snapshot {
    std::vector<std::uint32_t> words;
    std::vector<float> frames;  // that came before, where they are kept
    std::vector<float> memory;  // the policy's
    std::int64_t steps = 0;
    float reward = 0;
    double episode_return = 0;
    std::uint8_t end = kRunning, outcome = 0;
  };
  Snapshot save() const;
  void load(const Snapshot& snapshot);

 private:
  void advance();

  const EnvEntry& entry_;
  std::unique_ptr<EnvBatch> batch_;
  std::unique_ptr<HostRollout> rollout_;
  Snapshot now_;  // without its words and frames
};

}  // namespace rollmill
