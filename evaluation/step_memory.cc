#include "evaluation/step_memory.h"

#include <cstring>

#include "core/base/assert.h"
#include "rollout/policy.h"

namespace rollmill {

StepMemory::StepMemory(const EnvSpec& spec, int num_envs) : stride_(padded_columns(num_envs)) {
  const auto columns = [&](auto& field, int count) {
    field.resize(static_cast<std::size_t>(count) * static_cast<std::size_t>(stride_));
  };
  columns(observations_, spec.observation_columns());
  columns(masks_, spec.mask_columns);
  columns(actions_, spec.action_size());
  columns(final_observations_, spec.observation_columns());
  columns(rewards_, 1);
  columns(ends_, 1);
  columns(outcomes_, 1);
  columns(episode_returns_, 1);
  columns(episode_lengths_, 1);
}

StepBuffers StepMemory::buffers() {
  StepBuffers b;
  b.actions = actions_.data();
  b.observations = observations();
  b.masks = masks();
  b.rewards = rewards_.data();
  b.ends = ends_.data();
  b.final_observations = reinterpret_cast<float*>(final_observations_.data());
  b.outcomes = outcomes_.data();
  b.episode_returns = episode_returns_.data();
  b.episode_lengths = episode_lengths_.data();
  return b;
}

std::int64_t StepMemory::bytes() const {
  const auto of = [](const auto& field) {
    return static_cast<std::int64_t>(field.size() * sizeof(field[0]));
  };
  return of(observations_) + of(masks_) + of(actions_) + of(final_observations_) + of(rewards_) +
         of(ends_) + of(outcomes_) + of(episode_returns_) + of(episode_lengths_);
}

std::int64_t field_bytes(const EnvSpec& spec) {
  const std::int64_t words = static_cast<std::int64_t>(spec.state_fields.size()) +
                             spec.observation_columns() + spec.mask_columns + spec.action_size() +
                             1;  // the reward
  return 4 * words + 1;          // the end
}

ActionTable::ActionTable(const EnvSpec& spec, int count, std::uint64_t seed)
    : columns_(spec.action_size()), row_stride_(padded_columns(count)) {
  RM_ASSERT(spec.mask_columns == 0);
  words_.resize(static_cast<std::size_t>(kRows * columns_ * row_stride_));
  const RandomPolicy policy(spec, seed);
  std::vector<std::uint32_t> environment(static_cast<std::size_t>(count));
  const std::vector<std::uint32_t> episode(environment.size()), step(environment.size());
  for (int row = 0; row < kRows; ++row) {
    for (int i = 0; i < count; ++i) {
      environment[static_cast<std::size_t>(i)] = static_cast<std::uint32_t>(row * count + i);
    }
    ActRequest q;
    q.stride = row_stride_;
    q.keys = {environment.data(), episode.data(), step.data()};
    q.end = count;
    q.actions = words_.data() + row * columns_ * row_stride_;
    policy.act(q);
  }
}

void ActionTable::copy(std::int64_t row, void* actions, std::int64_t stride, int begin,
                       int end) const {
  const std::uint32_t* from = words_.data() + row % kRows * columns_ * row_stride_;
  auto* to = static_cast<std::uint32_t*>(actions) + begin;
  for (int a = 0; a < columns_; ++a) {
    std::memcpy(to + a * stride, from + a * row_stride_,
                static_cast<std::size_t>(end - begin) * sizeof(*to));
  }
}

}  // namespace rollmill
