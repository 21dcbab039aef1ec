// Fills a rollout: environments and policy together. Each task takes a block of environments through the whole horizon
// (act, step, act, step, ... then values and advantages), so the threads meet once per rollout, not once per step, and
// a block's state stays in the cache. Blocks do not affect results: every row is computed alone.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "rollout/advantage.h"
#include "rollout/buffer.h"
#include "rollout/mlp/mlp_policy.h"
#include "rollout/normalizer.h"
#include "rollout/staleness.h"

namespace rollmill {

class ThreadPool;

// Finished episodes of a rollout, in (time, environment) order.
struct EpisodeRecord {
  float episode_return;
  std::int32_t length;
  std::uint8_t outcome;
  std::uint32_t level = 0;   // 0 where the world has no levels
  float value_error = 0.0f;  // mean |advantage| of its steps in this rollout; host rollouts only
};

class HostCollector {
 public:
  HostCollector(EnvBatch& batch, const MlpPolicy& policy, const RolloutBuffer& buffer,
                ThreadPool& pool);

  // Starts all environments; their first observations go into slot 0.
  void reset();
  // Continues from slot 0 (the observations the last rollout, reset or restore left there).
  void collect(const AdvantageOptions& options);
  // Makes a rollout of older weights one of the policy's weights now: log-probabilities and values are said anew, advantages and
  // returns are V-trace's. The same on any number of threads. Without memory.
  Staleness correct(const AdvantageOptions& options, ThreadPool& pool);
  // Moves slot horizon to slot 0: call when the learner is done with the buffer.
  void advance();
  // Part of the last collect() that went into the environments' steps, in (0, 1): of the time of all threads that play, together.
  // The rest is the policy's, with values and advantages.
  double environment_share() const { return environment_share_; }

  // groups: the environments in that many equal parts, one part after the other.
  std::vector<EpisodeRecord> finished_episodes(int groups = 1) const;
  // Moments of every observation of slots 0..horizon-1, one per element; the same on any number of threads.
  // With groups: one set for each part of the environments, [groups][observation_size].
  std::vector<Moments> observation_moments(int groups = 1) const;

 private:
  using Clock = std::chrono::steady_clock;
  struct BlockTime {
    Clock::duration environment{}, all{};
  };

  // Steps that a block has played, for threads that follow it.
  struct alignas(64) Played {
    std::atomic<int> steps{0};
  };

  void play_block(int block, int begin, int end, BlockTime& time);
  int blocks() const;
  int value_tiles() const;
  void value_tile(std::int64_t tile);
  void value_tiles_of_played(int blocks, int patience);
  void finish_block(const AdvantageOptions& options, int begin, int end);
  void correct_block(const AdvantageOptions& options, int begin, int end, RatioSums* parts);
  void value_truncated(int first, int last, int begin, int end);

  EnvBatch& batch_;
  const MlpPolicy& policy_;
  RolloutBuffer buffer_;
  ThreadPool& pool_;
  int block_;
  bool values_later_;  // of all steps together, when they have been played
  bool followed_;  // values_later_, but as far as threads with nothing to play can while others do
  std::unique_ptr<Played[]> played_;  // of followed_: [blocks]
  std::atomic<int> next_tile_{0};     // of values_later_: the first that nobody has
  std::vector<BlockTime> times_;      // of each block
  std::vector<float> ratios_;         // [T][stride] of correct()
  double environment_share_ = 0;
};

}  // namespace rollmill
