// The manifest of RolloutBuffer: every column with its element count, in the order in which they
// lie in memory.
#pragma once

#include <cstdint>

#include "core/base/assert.h"
#include "rollout/buffer.h"

namespace rollmill {

// Sets the sizes of a buffer for an environment.
inline void set_rollout_shape(RolloutBuffer& b, const EnvSpec& spec, int horizon, int num_envs,
                              std::int64_t stride, int frame_stack) {
  b.horizon = horizon;
  b.num_envs = num_envs;
  b.observation_columns = spec.observation_columns();
  b.mask_columns = spec.mask_columns;
  b.choice_columns = static_cast<int>(spec.choices.size());
  b.real_columns = spec.real_actions();
  b.frame_stack = frame_stack;
  b.stride = stride;
}

// The same for what a policy remembers.
inline void set_memory_shape(RolloutBuffer& b, const RolloutMemory& memory) {
  b.memory_columns = memory.columns;
  b.sequence_length = memory.sequence_length == 0 ? b.horizon : memory.sequence_length;
  b.burn_in = memory.burn_in;
  RM_ASSERT(b.horizon % b.sequence_length == 0);
}

// Calls field(pointer&, elements) for each column. Pointers may be read or assigned.
template <class Field>
void visit_rollout_fields(RolloutBuffer& b, Field&& field) {
  const std::int64_t slot = b.horizon * b.stride;
  auto* actions = static_cast<std::int32_t*>(b.actions);
  // With the earlier frames of slot 0 before it.
  const std::int64_t history = (b.frame_stack - 1) * b.slot_words();
  float* first_frame = b.observations == nullptr ? nullptr : b.observations - history;
  field(first_frame, (slot + b.stride) * b.observation_columns + history);
  b.observations = first_frame == nullptr ? nullptr : first_frame + history;
  if (b.frame_stack > 1) field(b.frames, slot + b.stride);
  if (b.mask_columns > 0) field(b.masks, (slot + b.stride) * b.mask_columns);
  if (b.memory_columns > 0) field(b.memory, (b.sequences() + 1) * b.memory_columns * b.stride);
  field(actions, slot * b.action_size());
  if (b.real_columns > 0) field(b.raw_actions, slot * b.real_columns);
  field(b.logprobs, slot);
  field(b.values, slot + b.stride);
  field(b.rewards, slot);
  field(b.ends, slot);
  field(b.final_observations, slot * b.observation_columns);
  field(b.final_values, slot);
  field(b.outcomes, slot);
  field(b.episode_returns, slot);
  field(b.episode_lengths, slot);
  field(b.episode_levels, slot);
  field(b.advantages, slot);
  field(b.returns, slot);
  b.actions = actions;
}

}  // namespace rollmill
