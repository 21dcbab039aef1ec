// N environments as one batch. This is all that upper layers see of the environments; envs/batch_cpu.h and
// envs/batch_cuda.cuh implement it for any environment of the contract.
//
// Storage is columns: element k of environment i lies at base[k * stride + i], stride = N rounded up to 64
// bytes. Observations, actions and results are written straight into the caller's buffers; nothing allocates
// inside a step, and nothing is copied between host and device.
//
// Autoreset is same-step: when an episode ends in a step, `observations` already holds the first observation of
// the next episode, and the last observation of the ended one is in `final_observations` (Gymnasium calls this
// AutoresetMode.SAME_STEP).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "envs/env_spec.h"

namespace rollmill {

class ThreadPool;

// How an episode stands after a step.
enum EpisodeEnd : std::uint8_t { kRunning = 0, kTerminated = 1, kTruncated = 2 };

// Which episode each environment plays. Randomness is keyed by (seed, first_environment + i, episode, step), so
// the same global environment gives the same trajectory in any batch on any rank.
struct BatchConfig {
  int num_envs = 1;
  std::uint64_t seed = 0;
  std::uint32_t first_environment = 0;  // global id of environment 0 of this batch
  std::uint32_t environment_stride =
      1;  // global id of environment i = first + i * stride; 0: all share one
  std::uint32_t first_episode = 0;  // episode of environment i = first_episode + i * episode_offset
  std::uint32_t episode_offset = 0;
  std::uint32_t episode_stride = 1;  // added at each autoreset
  int time_limit = -1;               // -1: the environment's own; 0: none
  std::vector<double> params;        // empty: defaults; else one per EnvSpec::params
};

// Where one step reads and writes. All pointers are in the batch's memory (host or device).
struct StepBuffers {
  // in: int32 [N] or float32 [A][stride]
  const void* actions = nullptr;
  // out, every environment
  float* observations = nullptr;  // [D][stride], after autoreset
  float* rewards = nullptr;       // [N]
  std::uint8_t* ends = nullptr;   // [N] EpisodeEnd
  // out, only where ends != kRunning (other elements are left as they were)
  float* final_observations = nullptr;  // [D][stride]; may be null
  std::uint8_t* outcomes = nullptr;     // [N] reason; may be null
  float* episode_returns = nullptr;     // [N] undiscounted sum of the ended episode; may be null
  std::int32_t* episode_lengths = nullptr;  // [N] steps of the ended episode; may be null
};

// Columns that say where each environment stands; keys of the next draw. In the batch's memory.
struct EpisodeColumns {
  const std::uint32_t* environment;  // [N] global id
  const std::uint32_t* episode;      // [N]
  const std::uint32_t* step;         // [N] steps taken in this episode
};

class EnvBatch {
 public:
  virtual ~EnvBatch() = default;

  virtual const EnvSpec& spec() const = 0;
  virtual int num_envs() const = 0;
  virtual std::int64_t stride()
      const = 0;  // of every [K][stride] array that this batch reads or writes
  virtual bool on_device() const = 0;
  virtual EpisodeColumns episodes() const = 0;

  // Starts every environment's first episode and writes its observations [D][stride].
  virtual void reset(float* observations) = 0;
  virtual void step(const StepBuffers& buffers) = 0;
  // Host batches: steps environments [begin, end) only, on the calling thread. Ranges of several threads must not
  // overlap. What the collector uses to run a block of environments through a whole rollout.
  virtual void step_range(const StepBuffers& buffers, int begin, int end) = 0;
  // Writes the observations of the current states.
  virtual void observe(float* observations) = 0;

  // The whole batch as bytes: states, episode numbers, steps, running returns. A snapshot restores into any
  // batch of the same environment, size and backend family (CPU and CUDA snapshots are the same bytes).
  virtual std::size_t snapshot_bytes() const = 0;
  virtual void save(std::byte* out) const = 0;
  virtual void load(const std::byte* in) = 0;

  // Columns of the state, for tests that set or compare it: word k of environment i. Host copies.
  virtual std::vector<std::uint32_t> state_words(int env) const = 0;
  virtual void set_state_words(int env, const std::vector<std::uint32_t>& words) = 0;

  virtual std::int64_t bytes_per_environment() const = 0;
};

}  // namespace rollmill
