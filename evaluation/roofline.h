// What arithmetic alone would allow a rollout and a learner (Williams et al. 2009): how fast this machine multiplies and adds, how
// fast the policy's passes are when nothing else happens, and what that leaves for R.
#pragma once

#include "rollout/mlp/layout.h"

namespace rollmill {

struct Roofline {
  double peak = 0;  // float32 operations per second: fused multiply-adds on registers, all threads
  double flops =
      0;  // of one step's forward pass, actor and critic, without padding; a multiply-add is two
  // Of its backward pass: every layer's gradient, and all but the first layers' inputs'.
  double backward_flops = 0;
  double activations = 0;      // tanh of one step, actor and critic
  double activation_rate = 0;  // tanh per second on numbers in the cache, all threads
  // Steps per second on tiles in the cache, all threads: of the forward pass alone, and of both.
  double forward = 0, both = 0;

  // Seconds of one step's forward pass: its products at the peak, its activations at theirs.
  double arithmetic() const { return flops / peak + activations / activation_rate; }
  double arithmetic_of_both() const { return arithmetic() + backward_flops / peak; }
  // R if environments cost what they cost in E and the policy its arithmetic.
  double allowed(double environment) const { return 1.0 / (1.0 / environment + arithmetic()); }
};

// Of two networks without memory and convolutions, whose observations are real numbers, pixels or bits (of bits: as many ones as
// there are zeros). Takes about 4 x seconds.
Roofline measure_roofline(const PolicyShape& shape, int threads, double seconds);

}  // namespace rollmill
