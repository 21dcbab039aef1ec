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
#include "envs/world.h"

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
  World world;                       // parameters drawn at each episode, levels
  // false: an ended environment keeps its last state, to be looked at; it must be reset or loaded before its next
  // step. Host batches only.
  bool autoreset = true;
  // Keep the last so many states and actions of every environment, for the report of one that breaks (0: none kept).
  int trace_steps = 0;
  // Prepare the next episodes' initial states ahead, and keep those of levels (envs/reset_pool.h). Host batches; changes no bit.
  bool reset_pool = false;
  // false: do without the shorter ways to the same bits (envs/usual.h, a constant reset made once), to check that they are the
  // same. Host batches.
  bool shortcuts = true;
  // The world will change (set_world): make room for drawn parameters and levels even if `world` has none yet.
  bool changing_world = false;
};

// Where one step reads and writes. All pointers are in the batch's memory (host or device).
struct StepBuffers {
  // in: 32-bit words [A][stride], int32 for choices, then float32 (envs/spaces.h)
  const void* actions = nullptr;
  // out, every environment
  float* observations =
      nullptr;  // words [D][stride], after autoreset; floats only if EnvSpec::observed says so
  Word* masks = nullptr;  // [M][stride] which actions the observed state allows; null where M is 0
  float* rewards = nullptr;      // [N]
  std::uint8_t* ends = nullptr;  // [N] EpisodeEnd
  // out, only where ends != kRunning (other elements are left as they were)
  float* final_observations = nullptr;  // [D][stride]; may be null
  Word* final_masks = nullptr;          // [M][stride] of those observations; may be null
  std::uint8_t* outcomes = nullptr;     // [N] reason; may be null
  float* episode_returns = nullptr;     // [N] undiscounted sum of the ended episode; may be null
  std::int32_t* episode_lengths = nullptr;  // [N] steps of the ended episode; may be null
  std::uint32_t* episode_levels = nullptr;  // [N] level of the ended episode; may be null
};

// What is known of an environment whose numbers stopped being finite: its keys, and the last states and actions before it
// (BatchConfig::trace_steps), oldest first.
struct Fault {
  std::uint32_t environment = 0, episode = 0, step = 0;  // the step that broke
  std::uint32_t level = 0;
  std::vector<double> params;
  std::vector<std::vector<std::uint32_t>> states;  // before each step of the trace
  std::vector<std::vector<std::uint32_t>>
      actions;                        // of each step of the trace, the last one broke it
  std::vector<std::uint32_t> broken;  // the state after it
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
  // Environments that one task should take through several steps, so that their columns stay in the first-level cache.
  virtual int preferred_block() const { return 512; }

  // Starts every environment's first episode and writes its observations [D][stride] and, where the environment has
  // them, action masks [M][stride].
  virtual void reset(float* observations, Word* masks = nullptr) = 0;
  virtual void step(const StepBuffers& buffers) = 0;
  // Host batches: steps environments [begin, end) only, on the calling thread. Ranges of several threads must not
  // overlap. What the collector uses to run a block of environments through a whole rollout.
  virtual void step_range(const StepBuffers& buffers, int begin, int end) = 0;
  // Writes the observations and masks of the current states.
  virtual void observe(float* observations, Word* masks = nullptr) = 0;
  // Host batches: actions of the environment's scripted expert for environments [begin, end), into columns.
  virtual void act_expert(const float* observations, int begin, int end, void* actions) const = 0;

  // Later episodes are drawn from this world. Needs BatchConfig::changing_world where it varies more than the first one.
  virtual void set_world(const World& world) = 0;
  // Parameters and level of environment i's present episode.
  virtual std::vector<double> params_of(int env) const = 0;
  virtual std::uint32_t level_of(int env) const = 0;

  // The whole batch as bytes: states, episode numbers, steps, running returns, drawn parameters, levels. A snapshot restores into
  // any batch of the same environment, size and backend family (CPU and CUDA snapshots are the same bytes).
  virtual std::size_t snapshot_bytes() const = 0;
  virtual void save(std::byte* out) const = 0;
  virtual void load(const std::byte* in) = 0;

  // One environment whole, as words: its state, then the runtime's own. What save_environment of one batch wrote,
  // load_environment takes in any other of the same environment and kind of world, at any index. Host copies.
  virtual std::vector<std::uint32_t> save_environment(int env) const = 0;
  virtual void load_environment(int env, const std::vector<std::uint32_t>& words) = 0;
  // Environment `to` becomes `from`, with its past and its future randomness.
  virtual void copy_environment(int from, int to) { load_environment(to, save_environment(from)); }

  // Columns of the state, for tests that set or compare it: word k of environment i. Host copies.
  virtual std::vector<std::uint32_t> state_words(int env) const = 0;
  virtual void set_state_words(int env, const std::vector<std::uint32_t>& words) = 0;

  // Environments that broke (kOutcomeNotFinite) since the last call; at most kMaxFaults are described, all are counted.
  struct Faults {
    std::int64_t count = 0;
    std::vector<Fault> described;
  };
  virtual Faults take_faults() = 0;
  static constexpr int kMaxFaults = 16;

  // Of the batch's own memory, whole allocation / num_envs.
  virtual std::int64_t bytes_per_environment() const = 0;
};

}  // namespace rollmill
