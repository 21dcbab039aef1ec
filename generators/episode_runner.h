// Plays a range of numbered episodes of one environment with one policy, many at a time. An episode is a function of
// (seed, episode number, policy, parameters) alone: lanes, blocks and threads only decide who computes it.
// Lane l of L plays episodes first + l, first + l + L, ...; each task takes a block of lanes to the end of the range.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "envs/registry.h"
#include "rollout/buffer.h"
#include "rollout/policy.h"

namespace rollmill {

class ThreadPool;

struct EpisodeJob {
  const EnvEntry* env = nullptr;
  std::vector<double> params;  // empty: defaults
  World world;                 // parameters drawn at each episode, levels
  int trace_steps = 0;         // BatchConfig::trace_steps
  bool reset_pool = false;     // BatchConfig::reset_pool
  // Environments that broke, from any thread; null: only their episodes' outcome tells.
  std::function<void(const EnvBatch::Faults&)> on_faults;
  int time_limit = -1;
  std::uint64_t seed = 0;
  const Policy* policy = nullptr;
  std::int64_t first = 0, count = 0;  // episode numbers [first, first + count)
  bool policy_outputs = false;        // record logprobs and values
  // Time limit of an environment that has none, so that an endless episode cannot hang the job. A warning comes long before.
  std::int64_t max_steps = 1'000'000;
  std::shared_ptr<std::atomic<bool>> warned =  // together with the copies of this job
      std::make_shared<std::atomic<bool>>(false);
  // Asked from any thread, every few steps; once true, always true. Episodes that are under way are then left. Null: never.
  std::function<bool()> stop;
  bool stopped() const { return stop && stop(); }
};

struct EpisodeSummary {
  float episode_return = 0;
  std::int32_t length = 0;
  std::uint8_t outcome = 0;
  bool terminated = false;
  bool cut = false;  // by EpisodeJob::max_steps, which is no time limit of the environment's
  // The first step at which the policy was shown a number that is NaN or infinite, and which; -1: there was none. (A state that is
  // not finite ends its episode before it is shown: kOutcomeNotFinite.)
  std::int32_t blind_step = -1, blind_element = -1;
};

// One finished episode as rows of 32-bit words: observation, action mask, action columns, reward, [logprob, value].
struct EpisodeRows {
  std::int64_t episode;        // number
  const std::uint32_t* words;  // [length][width]
  int width;
  EpisodeSummary summary;
  std::vector<std::uint32_t> final_observation;  // words
};

// Words of a row.
int episode_row_words(const EnvSpec& spec, bool policy_outputs);

// Calls `sink` once for each episode, from any thread, in any order: it must only touch that episode's own data.
// rows.words is null unless record_rows. Where job.stopped() afterwards, not every episode was played. Throws Error(kIo) for
// episodes so long that their rows would not fit into the memory.
using EpisodeSink = std::function<void(int block, const EpisodeRows&)>;
void run_episodes(const EpisodeJob& job, bool record_rows, ThreadPool& pool,
                  const EpisodeSink& sink);

// Number of blocks that run_episodes will use: sink's `block` is below it, and calls of one block never overlap.
int episode_blocks(const EpisodeJob& job, const ThreadPool& pool);

}  // namespace rollmill
