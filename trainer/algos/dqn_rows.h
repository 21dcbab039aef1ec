// What deep Q-learning does to one row of a minibatch, and what follows from the number of steps: one text for the CPU
// (trainer/algos/dqn.cc) and for CUDA (trainer/algos/dqn_kernels.cuh).
#pragma once

#include <cstdint>

#include "core/base/macros.h"
#include "core/math/math.h"
#include "rollout/masked_choice.h"
#include "trainer/algos/dqn_options.h"

namespace rollmill {

// Of `steps` over `all`, at most 1.
RM_HD double share_done(std::int64_t steps, std::int64_t all) {
  const double done = static_cast<double>(steps) / static_cast<double>(all);
  return done < 1.0 ? done : 1.0;
}

// The probability of a random action after so many environment steps.
RM_HD double epsilon_at(const DqnOptions& o, std::int64_t env_steps) {
  const double done = o.exploration_steps == 0 ? 1.0 : share_done(env_steps, o.exploration_steps);
  const auto start = static_cast<double>(o.exploration_start),
             end = static_cast<double>(o.exploration_end);
  return start + (end - start) * done;
}

// The exponent of prioritised replay's weights.
RM_HD float beta_at(const DqnOptions& o, std::int64_t env_steps, std::int64_t total_steps) {
  const auto start = static_cast<double>(o.priority_beta);
  return static_cast<float>(start + (1 - start) * share_done(env_steps, total_steps));
}

// With probability epsilon environment i's action becomes any of the allowed ones.
RM_HD void explore(const ActRequest& q, std::int64_t i, Rng rng, float epsilon, int choices) {
  if (rng.uniform() >= epsilon) return;
  const std::uint32_t allowed = allowed_choices(q, i, 0, choices);
  static_cast<std::int32_t*>(q.actions)[i] =
      nth_choice(q, i, 0, choices, rng.integer(allowed > 1u ? allowed : 1u));
}

// Advantages of a row, kStride numbers apart, become values: Q = V + A - mean A.
template <int kStride>
RM_HD void add_state_value(float* q, int actions, float value) {
  const float share = 1.0f / static_cast<float>(actions);
  float mean = 0;
  for (int a = 0; a < actions; ++a) mean += q[a * kStride];
  const float shift = value - share * mean;
  for (int a = 0; a < actions; ++a) q[a * kStride] += shift;
}

// Huber's loss of Q(s, a) - target, weighted, and its derivative by Q(s, a) in the mean over the minibatch.
struct DqnLoss {
  float loss, derivative, error;
};
RM_HD DqnLoss dqn_loss(float q, float target, float weight, float limit, float inv_n) {
  const float error = q - target, size = math::abs(error);
  const bool line = limit > 0 && size > limit;
  const float loss = line ? limit * (size - 0.5f * limit) : 0.5f * error * error;
  return {weight * loss, weight * inv_n * (line ? math::clamp(error, -limit, limit) : error), size};
}

// d loss / d what the actor says, from the derivative by Q(s, action); the row's other numbers are 0.
RM_HD void dqn_head_row(float derivative, std::int32_t action, int actions, bool duelling,
                        bool shared, float* row) {
  const float share = duelling ? 1.0f / static_cast<float>(actions) : 0.0f;
  for (int a = 0; a < actions; ++a) row[a] = -share * derivative;
  row[action] += derivative;
  if (duelling && shared) row[actions] = derivative;
}

}  // namespace rollmill
