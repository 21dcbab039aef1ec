// How far a policy has moved from the one that made a rollout. Sums have one shape on every device and number of threads: of
// kStalenessEnvs environments at one step in order, then over the steps, then over such blocks.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/macros.h"

namespace rollmill {

struct Staleness {
  double mean_ratio = 1;  // of its actions' probabilities, now over then
  double cut = 0;         // part of them above 1, which V-trace cuts off
  double kl = 0;          // mean of (ratio - 1) - log ratio, as UpdateStats::approx_kl
};

inline constexpr int kStalenessEnvs = 48;
constexpr int staleness_blocks(int num_envs) {
  return (num_envs + kStalenessEnvs - 1) / kStalenessEnvs;
}

struct RatioSums {
  double ratio = 0, cut = 0, kl = 0;
  // An action whose log-probability has changed by log_ratio.
  RM_HD void add(float ratio_of_action, float log_ratio) {
    const auto now = static_cast<double>(ratio_of_action);
    ratio += now;
    cut += now > 1.0 ? 1.0 : 0.0;
    kl += (now - 1.0) - static_cast<double>(log_ratio);
  }
};

// parts [blocks][horizon].
inline Staleness staleness_of(const std::vector<RatioSums>& parts, int horizon, int num_envs) {
  RatioSums total;
  for (std::size_t first = 0; first < parts.size(); first += static_cast<std::size_t>(horizon)) {
    RatioSums block;
    for (std::size_t p = first; p < first + static_cast<std::size_t>(horizon); ++p) {
      block.ratio += parts[p].ratio;
      block.cut += parts[p].cut;
      block.kl += parts[p].kl;
    }
    total.ratio += block.ratio;
    total.cut += block.cut;
    total.kl += block.kl;
  }
  const double n = static_cast<double>(horizon) * num_envs;
  return {total.ratio / n, total.cut / n, total.kl / n};
}

}  // namespace rollmill
