// One rollout of T steps in N environments: plain columns, registered once, allocated once, filled in place.
// Slot t of a field with K columns is K * stride elements; element (t, k, i) lies at (t * K + k) * stride + i.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/base/macros.h"
#include "envs/batch.h"

namespace rollmill {

inline constexpr int kMaxFrameStack = 64;

struct RolloutBuffer {
  int horizon = 0, num_envs = 0;
  int observation_columns = 0;               // stored words of an observation (EnvSpec::observed)
  int mask_columns = 0;                      // words of an action mask; 0: none
  int choice_columns = 0, real_columns = 0;  // of an action, in this order
  int frame_stack = 1;     // frames that the policy reads of an observation, itself included
  int memory_columns = 0;  // what the policy remembers of an episode
  int sequence_length = 0, burn_in = 0;  // of a policy with memory, see memory_slot
  std::int64_t stride = 0;

  // [T + 1][D]; slot T is the first observation of the next rollout. With frame stacking the frame_stack - 1 slots before
  // slot 0 are the frames that came before it: a stack is read from where its frames lie, and never copied together.
  float* observations = nullptr;
  // [T + 1] how many frames before the observation are of its episode, at most frame_stack - 1; null without stacking.
  std::uint8_t* frames = nullptr;
  Word* masks = nullptr;         // [T + 1][M] what each observed state allows; null where M is 0
  void* actions = nullptr;       // [T][A] int32, then float32: what the environment got
  float* raw_actions = nullptr;  // [T][real columns] the unbounded sample; null if there are none
  float* logprobs = nullptr;     // [T]
  float* values = nullptr;       // [T + 1]
  float* rewards = nullptr;      // [T]
  std::uint8_t* ends = nullptr;  // [T] EpisodeEnd
  float* final_observations = nullptr;  // [T][D], where ends != kRunning
  float* final_values = nullptr;        // [T], where ends == kTruncated: V of the final observation
  std::uint8_t* outcomes = nullptr;     // [T], where ends != kRunning
  float* episode_returns = nullptr;     // [T], where ends != kRunning
  std::int32_t* episode_lengths = nullptr;
  std::uint32_t* episode_levels = nullptr;
  float* advantages = nullptr;  // [T]
  float* returns = nullptr;     // [T] advantages + values: targets of the value function

  // [sequences + 1][memory columns]: what was remembered before the start of each sequence, then what is now. A learner
  // recomputes sequence k, steps [k L, (k + 1) L), from sequence_start(k): with its burn-in.
  float* memory = nullptr;

  RM_HD int sequences() const { return memory_columns == 0 ? 0 : horizon / sequence_length; }
  RM_HD int sequence_start(int k) const {
    const int start = k * sequence_length - burn_in;
    return start > 0 ? start : 0;
  }
  RM_HD float* memory_slot(int k) const {
    return memory == nullptr ? nullptr : memory + std::int64_t{k} * memory_columns * stride;
  }
  RM_HD float* current_memory() const { return memory_slot(sequences()); }
  RM_HD int action_size() const { return choice_columns + real_columns; }
  // Words of one slot of observations.
  RM_HD std::int64_t slot_words() const { return observation_columns * stride; }
  // Elements of one slot.
  RM_HD std::int64_t action_columns() const { return std::int64_t{action_size()} * stride; }
  RM_HD float* observation_slot(int t) const {  // t >= 1 - frame_stack
    return observations + t * slot_words();
  }
  RM_HD std::uint8_t* frame_slot(int t) const {
    return frames == nullptr ? nullptr : frames + t * stride;
  }
  RM_HD Word* mask_slot(int t) const {
    return mask_columns == 0 ? nullptr : masks + std::int64_t{t} * mask_columns * stride;
  }
  std::int32_t* discrete_slot(int t) const {
    return static_cast<std::int32_t*>(actions) + t * action_columns();
  }
  float* continuous_slot(int t) const {
    return static_cast<float*>(actions) + t * action_columns();
  }
  RM_HD void* action_slot(int t) const {  // both element types have four bytes
    return static_cast<std::int32_t*>(actions) + t * action_columns();
  }
  RM_HD float* raw_action_slot(int t) const {
    return real_columns == 0 ? nullptr : raw_actions + std::int64_t{t} * real_columns * stride;
  }
  RM_HD StepBuffers step_buffers(int t) const {
    const std::int64_t at = t * stride;
    StepBuffers b;
    b.actions = action_slot(t);
    b.observations = observation_slot(t + 1);
    b.masks = mask_slot(t + 1);
    b.rewards = rewards + at;
    b.ends = ends + at;
    b.final_observations = final_observations + at * observation_columns;
    b.outcomes = outcomes + at;
    b.episode_returns = episode_returns + at;
    b.episode_lengths = episode_lengths + at;
    b.episode_levels = episode_levels + at;
    return b;
  }
};

// Fills frame_slot(t) for environments [begin, end) from the steps their episodes have taken; nothing without stacking.
void count_frames(const RolloutBuffer& buffer, int t, const std::uint32_t* steps, int begin,
                  int end);
// Keeps what environments [begin, end) remember now, where a sequence starts at step t: nothing at an episode's step 0.
void keep_memory(const RolloutBuffer& buffer, int t, const std::uint32_t* steps, int begin,
                 int end);
// Moves slot T, with its mask and the frames before it, to slot 0: where the next rollout starts.
void advance_rollout(const RolloutBuffer& buffer);
// The same into another rollout of the shape, which may be the same.
void continue_rollout(const RolloutBuffer& from, const RolloutBuffer& to);

// Throws Error(kIo) where so many bytes are not free: the kernel grants more than it has and kills later. `what` takes them.
void check_memory(std::size_t wanted, const std::string& what, const std::string& cure);

// What a rollout keeps for a policy with memory. The sequence length divides the horizon; 0: the whole of it.
struct RolloutMemory {
  int columns = 0, sequence_length = 0, burn_in = 0;
};

// Owns the memory of a RolloutBuffer on the host: one allocation.
class HostRollout {
 public:
  HostRollout(const EnvSpec& spec, int horizon, int num_envs, int frame_stack = 1,
              const RolloutMemory& memory = {});
  ~HostRollout();
  const RolloutBuffer& buffer() const { return buffer_; }
  std::size_t bytes() const;

 private:
  struct Storage;
  std::unique_ptr<Storage> storage_;
  RolloutBuffer buffer_;
};

}  // namespace rollmill
