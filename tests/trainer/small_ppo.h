// A PPO run that is over in a moment: what tests of its whole loop start from.
#pragma once

#include "trainer/train_options.h"

namespace rollmill::testing {

inline TrainOptions small_ppo(const char* env) {
  TrainOptions o;
  o.env.id = env;
  o.env.num_envs = 40;
  o.threads = 1;
  o.total_steps = 40 * 16 * 10;
  o.policy.hidden = {24, 20};
  o.ppo.horizon = 16;
  o.ppo.minibatches = 2;
  o.ppo.learning_rate = 3e-3;
  o.ppo.entropy_coefficient = 0.01f;
  return o;
}

}  // namespace rollmill::testing
