#include "rollout/buffer.h"

#include <vector>

#include "core/base/aligned.h"
#include "core/base/assert.h"

namespace rollmill {

StepBuffers RolloutBuffer::step_buffers(int t) const {
  const std::int64_t at = t * stride;
  StepBuffers b;
  b.actions = action_slot(t);
  b.observations = observation_slot(t + 1);
  b.rewards = rewards + at;
  b.ends = ends + at;
  b.final_observations = final_observations + at * observation_size;
  b.outcomes = outcomes + at;
  b.episode_returns = episode_returns + at;
  b.episode_lengths = episode_lengths + at;
  return b;
}

namespace {

// Registers fields first, then allocates them all at once (256-byte aligned).
class Arena {
 public:
  template <class T>
  void add(T*& field, std::int64_t count) {
    requests_.push_back({reinterpret_cast<void**>(&field), size_});
    size_ += (count * static_cast<std::int64_t>(sizeof(T)) + 255) / 256 * 256;
  }
  void allocate() {
    bytes_.resize(static_cast<std::size_t>(size_ / 4));
    for (const auto& r : requests_) *r.field = reinterpret_cast<std::byte*>(bytes_.data()) + r.offset;
  }
  std::size_t size() const { return static_cast<std::size_t>(size_); }

 private:
  struct Request {
    void** field;
    std::int64_t offset;
  };
  std::vector<Request> requests_;
  std::int64_t size_ = 0;
  AlignedVector<std::uint32_t> bytes_;
};

}  // namespace

struct HostRollout::Storage {
  Arena arena;
};

HostRollout::HostRollout(const EnvSpec& spec, int horizon, int num_envs)
    : storage_(std::make_unique<Storage>()) {
  RM_ASSERT(horizon >= 1 && num_envs >= 1);
  RolloutBuffer& b = buffer_;
  b.horizon = horizon;
  b.num_envs = num_envs;
  b.observation_size = spec.observation_size();
  b.action_size = spec.action_size();
  b.discrete = spec.discrete;
  b.stride = padded_columns(num_envs);
  const std::int64_t slot = horizon * b.stride;
  Arena& arena = storage_->arena;
  std::int32_t* actions = nullptr;
  arena.add(b.observations, (slot + b.stride) * b.observation_size);
  arena.add(actions, slot * b.action_size);
  if (!spec.discrete) arena.add(b.raw_actions, slot * b.action_size);
  arena.add(b.logprobs, slot);
  arena.add(b.values, slot + b.stride);
  arena.add(b.rewards, slot);
  arena.add(b.ends, slot);
  arena.add(b.final_observations, slot * b.observation_size);
  arena.add(b.final_values, slot);
  arena.add(b.outcomes, slot);
  arena.add(b.episode_returns, slot);
  arena.add(b.episode_lengths, slot);
  arena.add(b.advantages, slot);
  arena.add(b.returns, slot);
  arena.allocate();
  b.actions = actions;
}

HostRollout::~HostRollout() = default;

std::size_t HostRollout::bytes() const { return storage_->arena.size(); }

}  // namespace rollmill
