// Soft actor-critic (Haarnoja et al. 2018, with the automatic temperature of their "Algorithms and Applications"): settings.
#pragma once

#include "trainer/replay/off_policy_options.h"

namespace rollmill {

struct SacOptions {
  SacOptions() {
    replay.batch_size = 256;
    replay.learning_starts = 1'000;
  }
  OffPolicyOptions replay;            // keys directly in [sac]; tau is applied after every update
  float temperature = 1.0f;           // the entropy's weight, at first if it is automatic
  bool automatic_temperature = true;  // moves so that the policy's entropy is target_entropy
  float target_entropy =
      -1.0f;  // of the action scaled to [-1, 1]; a file's default: -1 a dimension
};

// Reads [sac] into run.sac. Errors name the key.
void read_sac_options(Config& config, TrainOptions& run);

}  // namespace rollmill
