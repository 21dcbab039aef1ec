// Who acts. A policy maps the observations of environments [begin, end) of a batch to actions; its randomness is keyed
// by each environment's own (environment, episode, step), so an action does not depend on the batch around it.
// Policies are immutable while they act: any number of threads may call act() on disjoint ranges.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rollout/buffer.h"

namespace rollmill {

// Columns as in envs/batch.h: element k of environment i at p[k * stride + i].
struct ActRequest {
  // in
  const float* observations = nullptr;  // words [D][stride] (envs/spaces.h)
  // Earlier frames of a policy that stacks them: `slot` words before each other, frames[i] of them in the episode.
  std::int64_t slot = 0;
  const std::uint8_t* frames = nullptr;
  const Word* masks = nullptr;  // [M][stride] allowed actions; null: the environment has no mask
  const EnvBatch* batch = nullptr;  // whose environments they are; the scripted expert asks it
  std::int64_t stride = 0;
  EpisodeColumns keys{};
  int begin = 0, end = 0;
  // in and out
  // [memory columns][stride] what the policy remembers of each episode; it starts from nothing at an episode's step 0. Null
  // where it has no memory.
  float* memory = nullptr;
  // out
  void* actions = nullptr;  // [A][stride] int32, then float32 within the bounds: what the env gets
  float* raw_actions = nullptr;  // [real actions][stride] the unbounded samples that the
                                 // log-probability belongs to; may be null
  float* logprobs = nullptr;     // [N]; may be null
  float* values = nullptr;       // [N]; may be null
};

// The request for slot t of a rollout: everything but keys, batch and range.
RM_HD ActRequest request_for_slot(const RolloutBuffer& b, int t) {
  ActRequest q;
  q.observations = b.observation_slot(t);
  q.slot = b.slot_words();
  q.frames = b.frame_slot(t);
  q.masks = b.mask_slot(t);
  q.stride = b.stride;
  q.actions = b.action_slot(t);
  q.raw_actions = b.raw_action_slot(t);
  q.logprobs = b.logprobs + t * b.stride;
  q.values = b.values + t * b.stride;
  q.memory = b.current_memory();
  return q;
}

class Policy {
 public:
  virtual ~Policy() = default;
  // Frames of an observation that it reads: rollouts must keep as many (RolloutBuffer::frame_stack).
  virtual int frame_stack() const { return 1; }
  // Numbers that it remembers of an episode: rollouts must hold as many (RolloutBuffer::memory_columns).
  virtual int memory_columns() const { return 0; }
  // Whether act() can give values.
  virtual bool has_value() const { return true; }
  virtual void act(const ActRequest& request) const = 0;
  // Stable name and content hash: they identify the policy in datasets and reports.
  virtual std::string id() const = 0;
  virtual std::string hash() const = 0;
};

// Uniform over the allowed actions of each choice, and over the bounds of each real number.
class RandomPolicy final : public Policy {
 public:
  RandomPolicy(const EnvSpec& spec, std::uint64_t seed);
  void act(const ActRequest& request) const override;
  std::string id() const override { return "random"; }
  std::string hash() const override { return "random"; }

 private:
  void act_one_choice(const ActRequest& request) const;
  void act_masked_choice(const ActRequest& request) const;
  void act_generally(const ActRequest& request) const;
  void act_reals(const ActRequest& request) const;

  std::vector<int> choices_;
  bool masked_;
  std::vector<float> low_, high_;  // of real actions
  std::uint64_t seed_;
};

}  // namespace rollmill
