// What SAC and TD3 make of their options, on any device.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "trainer/train_options.h"
#include "trainer/update_report.h"

namespace rollmill {

// An actor without a critic beside it.
inline PolicyShape twin_actor_shape(const EnvSpec& spec, const TrainOptions& o) {
  PolicyChoices choices = o.policy;
  choices.trunk = Trunk::kActorOnly;
  choices.distribution =
      o.algorithm == "sac" ? RealDistribution::kSquashed : RealDistribution::kDeterministic;
  return shape_for(spec, choices);
}

// What the updates of a report add up to. policy_*: TD3's.
struct TwinSums {
  double critic_loss = 0, actor_loss = 0, value = 0, entropy = 0, policy_value = 0;
  std::int64_t updates = 0, policy_updates = 0, skipped = 0;
};

// temperature, rate, updates: at the report's end.
inline std::vector<Metric> sac_metrics(const TwinSums& sums, float temperature, double rate,
                                       std::int64_t updates) {
  const auto n = static_cast<double>(std::max<std::int64_t>(sums.updates, 1));
  return {{"critic_loss", sums.critic_loss / n},
          {"actor_loss", sums.actor_loss / n},
          {"q_mean", sums.value / n},
          {"entropy", sums.entropy / n},
          {"temperature", static_cast<double>(temperature)},
          {"learning_rate", rate},
          {"gradient_updates", static_cast<double>(updates)}};
}

inline std::vector<Metric> td3_metrics(const TwinSums& sums, double rate, std::int64_t updates) {
  const auto n = static_cast<double>(std::max<std::int64_t>(sums.updates, 1));
  const auto actor_n = static_cast<double>(std::max<std::int64_t>(sums.policy_updates, 1));
  return {{"critic_loss", sums.critic_loss / n},
          {"actor_loss", -sums.policy_value / actor_n},
          {"q_mean", sums.value / n},
          {"learning_rate", rate},
          {"gradient_updates", static_cast<double>(updates)}};
}

}  // namespace rollmill
