// What arithmetic alone would allow a rollout (Williams et al. 2009): how fast this machine multiplies and adds, how fast the
// policy's forward pass is when nothing else happens, and what that leaves for R.
#pragma once

#include "rollout/mlp/layout.h"

namespace rollmill {

struct Roofline {
  double peak = 0;   // float32 operations per second: fused multiply-adds on registers, all threads
  double flops = 0;  // of one step's forward pass, actor and critic; a multiply-add is two
  double padded_flops = 0;     // the same with layers padded to 16, as they are computed
  double activations = 0;      // tanh of one step, actor and critic
  double activation_rate = 0;  // tanh per second on numbers in the cache, all threads
  double forward =
      0;  // steps per second of the forward pass alone, on tiles in the cache, all threads
  double arithmetic()
      const {  // seconds of one step's forward pass: its products at the peak, its activations at theirs
    return padded_flops / peak + activations / activation_rate;
  }
  double allowed(double environment)
      const {  // R if environments cost what they cost in E and the policy its arithmetic
    return 1.0 / (1.0 / environment + arithmetic());
  }
};

// Of a policy without memory and convolutions, whose observations are real numbers, pixels or bits (of bits: as many ones as
// there are zeros). Takes about 3 x seconds.
Roofline measure_roofline(const PolicyShape& shape, int threads, double seconds);

}  // namespace rollmill
