#include "evaluation/branch.h"

#include <cmath>
#include <cstdio>
#include <cstring>

#include "core/base/error.h"
#include "envs/env.h"
#include "rollout/buffer.h"

namespace rollmill {
namespace {

constexpr int kFactual = 0, kCounterfactual = 1;

// Two environments in lock step; observations of slot 1 become those of slot 0 after each step.
class Pair {
 public:
  Pair(const EnvEntry& entry, BatchConfig config, const Policy& policy)
      : batch_(entry.make_cpu(two(config), nullptr)),
        memory_(batch_->spec(), 1, 2, policy.frame_stack(), {policy.memory_columns()}),
        policy_(policy) {
    const RolloutBuffer& b = memory_.buffer();
    batch_->reset(b.observation_slot(0), b.mask_slot(0));
  }

  EnvBatch& batch() { return *batch_; }
  const EnvSpec& spec() const { return batch_->spec(); }
  const RolloutBuffer& buffer() const { return memory_.buffer(); }

  void act() {
    const RolloutBuffer& b = memory_.buffer();
    ActRequest q = request_for_slot(b, 0);
    q.batch = batch_.get();
    q.keys = batch_->episodes();
    q.end = 2;
    q.logprobs = q.values = nullptr;
    count_frames(b, 0, q.keys.step, 0, 2);
    policy_.act(q);
  }
  void step() {
    const RolloutBuffer& b = memory_.buffer();
    batch_->step(b.step_buffers(0));
    advance_rollout(b);
    batch_->observe(b.observation_slot(0), b.mask_slot(0));
  }
  Word& action_word(int column, int env) {
    return static_cast<Word*>(memory_.buffer().actions)[column * memory_.buffer().stride + env];
  }
  std::vector<double> action(int env) {
    std::vector<double> values;
    for (int k = 0; k < spec().action_size(); ++k) {
      const std::uint32_t word = action_word(k, env);
      float real;
      std::memcpy(&real, &word, 4);
      const bool choice = k < static_cast<int>(spec().choices.size());
      values.push_back(choice ? static_cast<double>(word) : static_cast<double>(real));
    }
    return values;
  }
  void set_action(int env, const std::vector<double>& values) {
    for (int k = 0; k < spec().action_size(); ++k) {
      const double v = values[static_cast<std::size_t>(k)];
      const auto real = static_cast<float>(v);
      std::uint32_t word;
      std::memcpy(&word, &real, 4);
      const bool choice = k < static_cast<int>(spec().choices.size());
      action_word(k, env) = choice ? static_cast<std::uint32_t>(v) : word;
    }
  }

 private:
  static BatchConfig two(BatchConfig config) {
    config.num_envs = 2;
    config.environment_stride = 0;  // the same environment, the same episode, twice
    config.episode_offset = 0;
    return config;
  }

  std::unique_ptr<EnvBatch> batch_;
  HostRollout memory_;
  const Policy& policy_;
};

void check_action(const Pair& pair, const std::vector<double>& action) {
  const EnvSpec& spec = pair.spec();
  if (static_cast<int>(action.size()) != spec.action_size())
    fail_usage(spec.id + " takes " + std::to_string(spec.action_size()) + " numbers as an action");
  int bit = 0;
  for (std::size_t k = 0; k < action.size(); ++k) {
    const FieldSpec& field = spec.action[k];
    const bool choice = k < spec.choices.size();
    if (!(action[k] >= field.low && action[k] <= field.high) ||
        (choice && action[k] != std::floor(action[k]))) {
      char range[64];
      std::snprintf(range, sizeof range, "%g to %g", field.low, field.high);
      fail_usage("action '" + field.name + "' is " +
                 (choice ? "a whole number from " : "from ") + range);
    }
    if (!choice) continue;
    const RolloutBuffer& b = pair.buffer();
    const int at = bit + static_cast<int>(action[k]);
    if (b.mask_columns > 0 &&
        ((b.masks[(at / 32) * b.stride + kCounterfactual] >> (at % 32)) & 1u) == 0) {
      fail_usage("action '" + field.name + "' = " + std::to_string(static_cast<int>(action[k])) +
                 " is not allowed there");
    }
    bit += spec.choices[k];
  }
}

// Takes what the last step wrote for one side; returns whether it goes on.
bool record(Pair& pair, int env, BranchSide& side) {
  const RolloutBuffer& b = pair.buffer();
  const auto at = static_cast<std::size_t>(env);
  ++side.length;
  if (b.ends[at] == kRunning) {
    side.episode_return += static_cast<double>(b.rewards[at]);
    side.end = pair.batch().state_words(env);
    return true;
  }
  side.episode_return = static_cast<double>(b.episode_returns[at]);
  side.outcome = outcome_name(pair.spec(), b.outcomes[at]);
  return false;
}

}  // namespace

BranchReport branch_episode(const EnvEntry& entry, const BatchConfig& config, const Policy& policy,
                            const BranchOptions& options) {
  Pair pair(entry, config, policy);
  double so_far = 0;
  for (std::int64_t t = 0; t < options.step; ++t) {
    pair.act();
    pair.step();
    if (pair.buffer().ends[kFactual] != kRunning) {
      fail_usage("the episode ends after " + std::to_string(t + 1) + " steps, before step " +
                 std::to_string(options.step));
    }
    so_far += static_cast<double>(pair.buffer().rewards[kFactual]);
  }
  pair.batch().copy_environment(kFactual, kCounterfactual);
  check_action(pair, options.action);
  BranchReport r;
  r.state = pair.batch().state_words(kFactual);
  BranchSide* sides[] = {&r.factual, &r.counterfactual};
  bool running[] = {true, true};
  for (BranchSide* side : sides) {
    side->episode_return = so_far;
    side->length = options.step;
    side->end = r.state;
  }
  for (std::int64_t t = 0; t < options.max_steps && (running[0] || running[1]); ++t) {
    pair.act();
    if (t == 0) {
      pair.set_action(kCounterfactual, options.action);
      for (int side = 0; side < 2; ++side) sides[side]->action = pair.action(side);
    }
    pair.step();
    for (int side = 0; side < 2; ++side) {
      if (running[side]) running[side] = record(pair, side, *sides[side]);
      if (t == 0 && running[side]) sides[side]->state = sides[side]->end;
    }
    const bool differs = running[0] != running[1] || r.factual.end != r.counterfactual.end ||
                         r.factual.outcome != r.counterfactual.outcome ||
                         r.factual.episode_return != r.counterfactual.episode_return;
    if (r.first_difference < 0 && differs) r.first_difference = options.step + t;
  }
  return r;
}

}  // namespace rollmill
