#include "trainer/guards.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace rollmill {

std::string first_not_finite(const RolloutBuffer& b) {
  struct Column {
    const char* name;
    const float* data;
  };
  const Column columns[] = {{"reward", b.rewards},
                            {"log-probability", b.logprobs},
                            {"value", b.values},
                            {"advantage", b.advantages}};
  for (int t = 0; t < b.horizon; ++t) {
    for (const Column& c : columns) {
      for (int i = 0; i < b.num_envs; ++i) {
        if (std::isfinite(c.data[t * b.stride + i])) continue;
        return std::string(c.name) + " of environment " + std::to_string(i) + " at step " +
               std::to_string(t) + " of the rollout";
      }
    }
  }
  return "";
}

std::string first_observation_not_finite(const RolloutBuffer& b, const EnvSpec& spec,
                                         std::int64_t first_environment) {
  if (spec.observed.kind != ObservationKind::kReal) return "";
  const auto in_slot = [&](const float* slot, int t, bool final) -> std::string {
    for (int k = 0; k < b.observation_columns; ++k) {
      for (int i = 0; i < b.num_envs; ++i) {
        if (final && b.ends[t * b.stride + i] != kTruncated) continue;
        if (std::isfinite(slot[k * b.stride + i])) continue;
        return "observation '" + spec.observation[static_cast<std::size_t>(k)].name +
               "' of environment " + std::to_string(first_environment + i) + " at step " +
               std::to_string(t) + " of the rollout";
      }
    }
    return "";
  };
  for (int t = 0; t <= b.horizon; ++t) {
    std::string found = in_slot(b.observation_slot(t), t, false);
    if (found.empty() && t < b.horizon)
      found = in_slot(b.final_observations + t * b.slot_words(), t, true);
    if (!found.empty()) return found;
  }
  return "";
}

bool TrainingWatch::Symptom::observe(bool present, int times) {
  constexpr int kGone = 50;
  seen = present ? seen + 1 : 0;
  absent = present ? 0 : absent + 1;
  if (absent >= kGone) told = false;
  if (told || seen < times) return false;
  return told = true;
}

std::vector<std::string> TrainingWatch::observe(const MetricsRecord& record) {
  std::vector<std::string> warnings;
  const double entropy = record.number("entropy"), kl = record.number("approx_kl"),
               clipped = record.number("clip_fraction"),
               explained = record.number("explained_variance"),
               mean_return = record.number("return_mean"), q = std::fabs(record.number("q_mean"));
  const auto text = [](const char* format, double x) {
    char line[200];
    std::snprintf(line, sizeof line, format, x);
    return std::string(line);
  };
  ++updates_;
  if (choices_only_ && !(first_entropy_ > 0) && entropy > 0) first_entropy_ = entropy;
  // (Comparisons with NaN, an algorithm's missing number, are false.)
  const bool unsolved = !(mean_return >= solved_at_);
  // Who imitates may be sure of what it does; its updates have no KL divergence.
  const bool explores = kl > 0;
  if (entropy_.observe(
          first_entropy_ > 0 && entropy < 0.01 * first_entropy_ && unsolved && explores, 3)) {
    warnings.push_back(
        text("the policy hardly explores any more (entropy %.3g) and has not solved "
             "the task: try a higher ppo.entropy_coefficient or a lower "
             "ppo.learning_rate",
             entropy));
  }
  if (ratio_.observe(kl > 0.5 || clipped > 0.8, 3)) {
    warnings.push_back(
        text("updates change the policy too much (approx_kl %.3g): try a lower "
             "ppo.learning_rate, fewer ppo.epochs, or ppo.target_kl = 0.02",
             kl));
  }
  if (!(mean_return <= best_return_) && std::isfinite(mean_return)) {
    best_return_ = mean_return;
    best_update_ = updates_;
  }
  if (value_.observe(updates_ - best_update_ > 20 && explained < 0.0 && unsolved, 20)) {
    warnings.push_back(
        text("the value function explains nothing of the returns (explained "
             "variance %.3g): try another trainer.reward_scale, "
             "policy.normalize_observations = true, or a higher "
             "ppo.value_coefficient",
             explained));
  }
  if (std::isfinite(mean_return))
    largest_return_ = std::max(largest_return_.value_or(1.0), std::fabs(mean_return));
  // Bootstrapped beyond time limits, or with an entropy bonus, values are larger than returns, but not by that much.
  if (q_.observe(largest_return_ && q > 1e3 * reward_scale_ * *largest_return_, 3)) {
    warnings.push_back(
        text("the values diverge (q_mean %.3g without its sign, a thousand times any "
             "return): try a lower learning_rate, a slower target network (a "
             "lower tau, a higher target_every), or max_grad_norm",
             q));
  }
  return warnings;
}

}  // namespace rollmill
