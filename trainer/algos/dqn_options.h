// Deep Q-learning: its settings. Mnih et al. 2015; double: van Hasselt et al. 2016; duelling: Wang et al. 2016; prioritised
// replay: Schaul et al. 2016; n steps: as in Hessel et al. 2018.
#pragma once

#include "trainer/replay/off_policy_options.h"

namespace rollmill {

struct DqnOptions {
  DqnOptions() { replay.tau = 1.0f; }
  OffPolicyOptions replay;  // keys directly in [dqn]
  int target_every = 500;   // gradient updates between two steps of the target network
  bool double_q = true;     // the network chooses the next action, the target network values it
  bool duelling = false;    // Q = V + A - mean A; the policy's critic is V, its actor A
  float huber = 1.0f;       // where the loss turns from squares to a line; 0: squares everywhere
  // Probability of a random action: from start to end over exploration_steps environment steps.
  float exploration_start = 1.0f, exploration_end = 0.05f;
  std::int64_t exploration_steps = 10'000;
  // 0: uniform replay. beta grows from its start to 1 over the run.
  float priority_alpha = 0.0f, priority_beta = 0.4f, priority_epsilon = 1e-2f;
};

// Reads [dqn] into run.dqn. Errors name the key.
void read_dqn_options(Config& config, TrainOptions& run);

}  // namespace rollmill
