// Arithmetic on columns of a rollout that the CPU and the CUDA collector share: the same text, the
// same bits.
#pragma once

#include <cstdint>

#include "core/base/macros.h"
#include "core/math/math.h"
#include "envs/batch.h"
#include "rollout/normalizer.h"

namespace rollmill {

// One step of generalised advantage estimation (rollout/advantage.h), backwards in time: A(t) from
// A(t+1) = carry.
RM_HD float gae_element(std::uint8_t end, float scaled_reward, float value, float next_value,
                        float final_value, float gamma, float lambda, float carry) {
  const bool running = end == kRunning;
  const float beyond_end = end == kTruncated ? final_value : 0.0f;
  const float future = running ? next_value : beyond_end;
  const float delta = scaled_reward + gamma * future - value;
  const float kept = running ? carry : 0.0f;
  return delta + (gamma * lambda) * kept;
}

// The same of experience that another policy made (V-trace, Espeholt et al. 2018, with GAE's lambda): ratio = its actions' probability
// now over what it was then, cut off at 1. With a ratio of 1 it is gae_element, bit for bit.
RM_HD float vtrace_element(std::uint8_t end, float scaled_reward, float value, float next_value,
                           float final_value, float gamma, float lambda, float ratio, float carry) {
  const float weight = math::min(ratio, 1.0f);
  const bool running = end == kRunning;
  const float beyond_end = end == kTruncated ? final_value : 0.0f;
  const float future = running ? next_value : beyond_end;
  const float delta = scaled_reward + gamma * future - value;
  const float kept = running ? carry : 0.0f;
  return weight * delta + weight * (gamma * lambda) * kept;
}

// The reward that learning sees.
RM_HD float used_reward(float reward, float scale, float clip) {
  return math::clamp(scale * reward, -clip, clip);
}

// Frames before an observation that are of its episode, `step` steps into it, as far as a stack of frames reaches.
RM_HD std::uint8_t earlier_frames(std::uint32_t step, int frame_stack) {
  const auto most = static_cast<std::uint32_t>(frame_stack - 1);
  return static_cast<std::uint8_t>(step < most ? step : most);
}

// Moments of n numbers, summed in order.
RM_HD Moments column_moments(const float* column, int n) {
  double sum = 0;
  for (int i = 0; i < n; ++i) sum += static_cast<double>(column[i]);
  const double mean = sum / n;
  double m2 = 0;
  for (int i = 0; i < n; ++i) m2 += (column[i] - mean) * (column[i] - mean);
  return {static_cast<double>(n), mean, m2};
}

}  // namespace rollmill
