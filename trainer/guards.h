// What keeps a run from going on with numbers that mean nothing, and says early that it is not learning.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "core/log/metrics.h"
#include "envs/env_spec.h"
#include "rollout/buffer.h"

namespace rollmill {

// The first number of a host rollout that is NaN or infinite, as "reward of environment 3 at step 7"; "" where all are finite.
std::string first_not_finite(const RolloutBuffer& buffer);

// The first observation of a host rollout that is NaN or infinite, as "observation 'x' of environment 3 at step 7 of the rollout";
// "" where all are finite or no real numbers. first_environment: the number of the buffer's first one.
std::string first_observation_not_finite(const RolloutBuffer& buffer, const EnvSpec& spec,
                                         std::int64_t first_environment);

// Looks at a run's metrics, update after update, for what its user will want to know before the end:
//   entropy collapse       below 1 % of what it was at first, while the task is not solved; of choices only: the entropy of
//                          real actions has no zero to be near to
//   exploding ratios       approx_kl above 0.5, or more than 80 % clipped, three updates in a row
//   dead value function    explained variance below 0 for twenty updates in a row, twenty after the best mean return, while the task
//                          is not solved: returns that are all alike have no variance to explain
//   diverging values       of dqn, sac and td3: q_mean a thousand times what any episode returned (scaled), three reports in a row
class TrainingWatch {
 public:
  // reward_scale: TrainOptions::reward_scale.
  explicit TrainingWatch(const EnvSpec& spec, float reward_scale = 1.0f)
      : solved_at_(spec.solved_at),
        choices_only_(spec.real_actions() == 0),
        reward_scale_(static_cast<double>(reward_scale)) {}
  // Warnings that are new; each is given once, and again only after it was gone for a while.
  std::vector<std::string> observe(const MetricsRecord& record);

 private:
  struct Symptom {
    int seen = 0, absent = 0;
    bool told = false;
    // Whether to warn now: present for `times` updates in a row.
    bool observe(bool present, int times);
  };
  double solved_at_;
  bool choices_only_;
  double reward_scale_;
  double first_entropy_ = 0;  // until there is one
  std::optional<double>
      largest_return_;  // 1 or more, without its sign, of all reports that have one
  double best_return_ = -std::numeric_limits<double>::infinity();
  int updates_ = 0, best_update_ = 0;
  Symptom entropy_, ratio_, value_, q_;
};

}  // namespace rollmill
