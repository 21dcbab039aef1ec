// What deep Q-learning makes of its options, on any device.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "trainer/algos/dqn_rows.h"
#include "trainer/train_options.h"
#include "trainer/update_report.h"

namespace rollmill {

inline PolicyShape dqn_shape(const EnvSpec& spec, const TrainOptions& o) {
  PolicyChoices choices = o.policy;
  if (!o.dqn.duelling) choices.trunk = Trunk::kActorOnly;
  return shape_for(spec, choices);
}

inline ReplayConfig dqn_replay(const TrainOptions& o) {
  ReplayConfig c = replay_config(o, o.dqn.replay);
  c.priority_alpha = o.dqn.priority_alpha;
  c.priority_epsilon = o.dqn.priority_epsilon;
  return c;
}

// What the updates of a report add up to.
struct DqnSums {
  double loss = 0, value = 0, error = 0, norm = 0;
  std::int64_t updates = 0, skipped = 0;
};

// env_steps, gradient_updates: at the report's end.
inline std::vector<Metric> dqn_metrics(const DqnSums& sums, const TrainOptions& o,
                                       std::int64_t env_steps, std::int64_t gradient_updates) {
  const auto n = static_cast<double>(std::max<std::int64_t>(sums.updates, 1));
  return {{"loss", sums.loss / n},
          {"q_mean", sums.value / n},
          {"td_error", sums.error / n},
          {"grad_norm", sums.norm / n},
          {"learning_rate", learning_rate_at(o.dqn.replay, env_steps, o.total_steps)},
          {"epsilon", epsilon_at(o.dqn, env_steps)},
          {"gradient_updates", static_cast<double>(gradient_updates)}};
}

}  // namespace rollmill
