// What the algorithms that learn from a replay buffer have in common: keys of the same names in [dqn], [sac] and [td3].
//
//   one turn: every environment makes train_every steps, then updates_per_step gradient updates of batch_size transitions
//   replay ratio = updates_per_step * batch_size / (train_every * env.num_envs) uses of a transition on average
//   one update of the run (a line of metrics.jsonl) = report_every steps of every environment
//
// Environments are those of all ranks, which share env.num_envs equally; every number here counts over all of them. The bits
// of a run do not depend on how many ranks it has: each holds all of the replay and computes all of every update
// (docs/decisions/0024).
#pragma once

#include <cstdint>
#include <string>

#include "core/base/macros.h"
#include "trainer/replay/replay_buffer.h"

namespace rollmill {

class Config;
struct TrainOptions;

struct OffPolicyOptions {
  std::int64_t buffer_size = 100'000;     // transitions kept, of all environments
  std::int64_t learning_starts = 10'000;  // environment steps before the first update
  int train_every = 1;
  int updates_per_step = 1;
  int report_every = 1'000;  // a multiple of train_every
  int batch_size = 128;
  int n_step = 1;
  float gamma = 0.99f;
  float tau = 0.005f;  // target networks: target += tau * (network - target)
  double learning_rate = 3e-4;
  bool anneal_learning_rate = false;  // linearly to 0 over the run
  float max_grad_norm = 0.0f;         // 0: off
  float adam_beta1 = 0.9f, adam_beta2 = 0.999f, adam_epsilon = 1e-8f;
};

// Reads the keys below `section` with the defaults that `o` holds, and refuses what these algorithms do not do: frame stacking,
// observation statistics; on a GPU convolutions; and but for [dqn] action masks. Errors name the key.
void read_off_policy_options(Config& config, const std::string& section, const TrainOptions& run,
                             OffPolicyOptions& o);

// The rate after env_steps environment steps of the run.
RM_HD double learning_rate_at(const OffPolicyOptions& o, std::int64_t env_steps,
                              std::int64_t total_steps) {
  if (!o.anneal_learning_rate) return o.learning_rate;
  const double done = static_cast<double>(env_steps) / static_cast<double>(total_steps);
  return o.learning_rate * (done < 1.0 ? 1.0 - done : 0.0);
}

// The buffer that they describe.
ReplayConfig replay_config(const TrainOptions& run, const OffPolicyOptions& o);

}  // namespace rollmill
