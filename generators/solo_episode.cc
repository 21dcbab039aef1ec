#include "generators/solo_episode.h"

#include <algorithm>
#include <utility>

#include "core/base/assert.h"

namespace rollmill {

SoloEpisode::SoloEpisode(const EnvEntry& entry, BatchConfig config, const Policy* policy)
    : entry_(entry) {
  config.num_envs = 1;
  config.first_environment = 0;
  config.autoreset = false;
  batch_ = entry.make_cpu(config, nullptr);
  rollout_ = std::make_unique<HostRollout>(
      batch_->spec(), 1, 1, policy == nullptr ? 1 : policy->frame_stack(),
      RolloutMemory{policy == nullptr ? 0 : policy->memory_columns()});
  const RolloutBuffer& b = rollout_->buffer();
  batch_->reset(b.observation_slot(0), b.mask_slot(0));
}

void SoloEpisode::step(const Policy& policy) {
  const RolloutBuffer& b = rollout_->buffer();
  RM_ASSERT(policy.frame_stack() <= b.frame_stack);
  RM_ASSERT(policy.memory_columns() == 0 || policy.memory_columns() == b.memory_columns);
  ActRequest q = request_for_slot(b, 0);
  q.batch = batch_.get();
  q.keys = batch_->episodes();
  q.end = 1;
  q.logprobs = q.values = nullptr;  // nobody reads them, and not every policy has them
  count_frames(b, 0, q.keys.step, 0, 1);
  policy.act(q);
  advance();
}

void SoloEpisode::step(const std::vector<std::uint32_t>& action) {
  const RolloutBuffer& b = rollout_->buffer();
  RM_ASSERT(static_cast<int>(action.size()) == b.action_size());
  auto* words = static_cast<Word*>(b.action_slot(0));
  for (std::size_t k = 0; k < action.size(); ++k) {
    words[static_cast<std::int64_t>(k) * b.stride] = action[k];
  }
  advance();
}

void SoloEpisode::advance() {
  RM_ASSERT(!ended());
  const RolloutBuffer& b = rollout_->buffer();
  batch_->step(b.step_buffers(0));
  now_.reward = b.rewards[0];
  now_.episode_return += static_cast<double>(b.rewards[0]);
  ++now_.steps;
  now_.end = b.ends[0];
  now_.outcome = ended() ? b.outcomes[0] : std::uint8_t{0};
  advance_rollout(b);
}

bool SoloEpisode::allowed(int choice) const {
  const RolloutBuffer& b = rollout_->buffer();
  if (b.mask_columns == 0) return true;
  return (b.mask_slot(0)[(choice / 32) * b.stride] >> (choice % 32) & 1u) != 0;
}

std::string SoloEpisode::outcome() const {
  return ended() ? outcome_name(spec(), now_.outcome) : std::string();
}

SoloEpisode::Snapshot SoloEpisode::save() const {
  Snapshot snapshot = now_;
  snapshot.words = batch_->save_environment(0);
  const RolloutBuffer& b = rollout_->buffer();
  snapshot.frames.assign(b.observation_slot(1 - b.frame_stack), b.observation_slot(0));
  if (b.memory_columns > 0)
    snapshot.memory.assign(b.current_memory(), b.current_memory() + b.memory_columns * b.stride);
  return snapshot;
}

void SoloEpisode::load(const Snapshot& snapshot) {
  batch_->load_environment(0, snapshot.words);
  now_ = snapshot;
  now_.words.clear();
  now_.frames.clear();
  now_.memory.clear();
  const RolloutBuffer& b = rollout_->buffer();
  std::copy(snapshot.frames.begin(), snapshot.frames.end(), b.observation_slot(1 - b.frame_stack));
  std::copy(snapshot.memory.begin(), snapshot.memory.end(), b.current_memory());
  batch_->observe(b.observation_slot(0), b.mask_slot(0));
}

}  // namespace rollmill
