// Twin delayed deep deterministic policy gradient (Fujimoto et al. 2018): settings.
#pragma once

#include "trainer/replay/off_policy_options.h"

namespace rollmill {

struct Td3Options {
  Td3Options() {
    replay.batch_size = 256;
    replay.learning_starts = 1'000;
  }
  OffPolicyOptions replay;  // keys directly in [td3]; tau is applied with each update of the actor
  int policy_every = 2;     // updates of the critics for one of the actor and the targets
  // Deviations of normal noise on actions scaled to [-1, 1].
  float exploration_noise = 0.1f;
  float target_noise = 0.2f, target_noise_clip = 0.5f;  // on the target policy's next action
};

// Reads [td3] into run.td3. Errors name the key.
void read_td3_options(Config& config, TrainOptions& run);

}  // namespace rollmill
