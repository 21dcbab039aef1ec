// One rollout of T steps in N environments: plain columns, registered once, allocated once, filled in place.
// Slot t of a field with K columns is K * stride elements; element (t, k, i) lies at (t * K + k) * stride + i.
#pragma once

#include <cstdint>
#include <memory>

#include "envs/batch.h"

namespace rollmill {

struct RolloutBuffer {
  int horizon = 0, num_envs = 0, observation_size = 0, action_size = 0;
  bool discrete = true;
  std::int64_t stride = 0;

  float* observations = nullptr;  // [T + 1][D]; slot T is the first observation of the next rollout
  void* actions = nullptr;        // [T][A] int32 or float32: what the environment got
  float* raw_actions = nullptr;   // [T][A] continuous: the unbounded sample; null for discrete
  float* logprobs = nullptr;      // [T]
  float* values = nullptr;        // [T + 1]
  float* rewards = nullptr;       // [T]
  std::uint8_t* ends = nullptr;   // [T] EpisodeEnd
  float* final_observations = nullptr;  // [T][D], where ends != kRunning
  float* final_values = nullptr;        // [T], where ends == kTruncated: V of the final observation
  std::uint8_t* outcomes = nullptr;     // [T], where ends != kRunning
  float* episode_returns = nullptr;     // [T], where ends != kRunning
  std::int32_t* episode_lengths = nullptr;
  float* advantages = nullptr;  // [T]
  float* returns = nullptr;     // [T] advantages + values: targets of the value function

  std::int64_t action_columns() const { return static_cast<std::int64_t>(action_size) * stride; }
  float* observation_slot(int t) const { return observations + std::int64_t{t} * observation_size * stride; }
  std::int32_t* discrete_slot(int t) const {
    return static_cast<std::int32_t*>(actions) + t * action_columns();
  }
  float* continuous_slot(int t) const {
    return static_cast<float*>(actions) + t * action_columns();
  }
  void* action_slot(int t) const {  // both element types have four bytes
    return static_cast<std::int32_t*>(actions) + t * action_columns();
  }
  StepBuffers step_buffers(int t) const;
};

// Owns the memory of a RolloutBuffer on the host: one allocation.
class HostRollout {
 public:
  HostRollout(const EnvSpec& spec, int horizon, int num_envs);
  ~HostRollout();
  const RolloutBuffer& buffer() const { return buffer_; }
  std::size_t bytes() const;

 private:
  struct Storage;
  std::unique_ptr<Storage> storage_;
  RolloutBuffer buffer_;
};

}  // namespace rollmill
