// The losses of SAC and TD3 in float64, one drawn transition at a time, no kernels of ours.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <vector>

#include "core/rng/rng.h"
#include "tests/trainer/derivatives.h"
#include "tests/trainer/double_loss.h"
#include "trainer/algos/twin_critic.h"
#include "trainer/train_options.h"

namespace rollmill::testing {

// A run of Pendulum that is small enough to differentiate numerically: what SAC and TD3 are tested with.
inline TrainOptions small_pendulum(const char* algorithm,
                                   OffPolicyOptions& (*replay_of)(TrainOptions&)) {
  TrainOptions o;
  o.algorithm = algorithm;
  o.env.id = "Pendulum-v1";
  o.env.num_envs = 3;
  o.env.time_limit = 20;
  o.policy.hidden = {9, 7};
  o.threads = 1;
  o.reward_scale = 0.1f;
  o.total_steps = 100'000;
  OffPolicyOptions& r = replay_of(o);
  r.buffer_size = 300;
  r.learning_starts = 90;
  r.train_every = 2;
  r.report_every = 40;
  r.batch_size = 60;  // two tiles
  r.n_step = 2;
  r.gamma = 0.9f;
  r.tau = 0.05f;
  return o;
}

using Doubles = std::vector<double>;

inline Doubles to_doubles(const AlignedVector<float>& v) { return {v.begin(), v.end()}; }

// Q of critic c; p holds both critics' parameters, the action lies in [-1, 1].
inline double q_value(const TwinCritic& critic, const Doubles& p, int c, Doubles x,
                      const Doubles& action) {
  x.insert(x.end(), action.begin(), action.end());
  const auto size = static_cast<std::ptrdiff_t>(critic.layout().size);
  return forward(critic.layout().actor, Doubles(p.begin() + c * size, p.begin() + (c + 1) * size),
                 x)[0];
}

// What an update of the drawn rows reads of the replay buffer; observations are real.
struct DrawnRow {
  Doubles observation, action, next;  // the action as the environment got it
  double reward = 0, discount = 0;
};

inline std::vector<DrawnRow> read_rows(const ReplayBuffer& replay,
                                       const std::vector<ReplayDraw>& drawn) {
  std::vector<DrawnRow> rows;
  const int words = replay.row_words();
  std::vector<float> next(static_cast<std::size_t>(words));
  for (const ReplayDraw& d : drawn) {
    DrawnRow row;
    const float* o = replay.observations() + d.row * words;
    row.observation.assign(o, o + words);
    for (int a = 0; a < replay.action_words(); ++a)
      row.action.push_back(std::bit_cast<float>(replay.action(d.row)[a]));
    const NStep n = replay.n_step(d.row, next.data());
    row.next.assign(next.begin(), next.end());
    row.reward = n.reward;
    row.discount = n.discount;
    rows.push_back(row);
  }
  return rows;
}

// Mean of half the squared errors of both critics.
inline double critic_loss(const TwinCritic& critic, const Doubles& p,
                          const std::vector<DrawnRow>& rows, const Doubles& targets,
                          double action_range) {
  double sum = 0;
  for (std::size_t k = 0; k < rows.size(); ++k) {
    Doubles unit = rows[k].action;
    for (double& a : unit) a /= action_range;
    for (int c = 0; c < 2; ++c) {
      const double e = q_value(critic, p, c, rows[k].observation, unit) - targets[k];
      sum += 0.5 * e * e;
    }
  }
  return sum / static_cast<double>(rows.size());
}

// Adam's first moment after a step from the one before: the gradient, against central differences of `loss` at p. The
// gradient sums float32 rows (a few 2^-24 of its largest element); a moment in float32 gives its rounding back tenfold.
inline void expect_gradient(const std::function<double(const Doubles&)>& loss, Doubles p,
                            const AlignedVector<float>& before, const AlignedVector<float>& after,
                            double beta1, double tolerance) {
  Doubles numerical(p.size());
  double largest = 0;
  const std::vector<std::size_t> tested = tested_parameters(p.size(), p.size());
  for (const std::size_t i : tested) {
    numerical[i] = central_difference(loss, p, i);
    largest = std::max(largest, std::abs(numerical[i]));
  }
  ASSERT_GT(largest, 1e-4);
  for (const std::size_t i : tested) {
    const double moment = before[i], g = (after[i] - beta1 * moment) / (1 - beta1);
    EXPECT_NEAR(g, numerical[i], tolerance * largest + 2e-6 * std::abs(moment)) << i;
  }
}

}  // namespace rollmill::testing
