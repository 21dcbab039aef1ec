// How much of the returns' variance the value function explains: 1 - Var(return - value) / Var(return).
#pragma once

#include <algorithm>
#include <vector>

#include "core/base/macros.h"
#include "rollout/buffer.h"
#include "rollout/normalizer.h"

namespace rollmill {

class ProcessGroup;
class ThreadPool;

// Of returns, and of what the values miss of them.
struct Spread {
  Moments target, error;
  void merge(const Spread& o) {
    target.merge(o.target);
    error.merge(o.error);
  }
};

// A slot's environments are taken in chunks of this many.
inline constexpr int kSpreadChunk = 1024;
constexpr int spread_chunks(int num_envs) { return (num_envs + kSpreadChunk - 1) / kSpreadChunk; }

// Of chunk `chunk` of n environments' returns and values.
RM_HD Spread spread_of_chunk(const float* target, const float* value, int n, int chunk) {
  const int begin = chunk * kSpreadChunk;
  const int count = n - begin < kSpreadChunk ? n - begin : kSpreadChunk;
  target += begin;
  value += begin;
  // Means first, so that nothing cancels.
  double target_mean = 0, error_mean = 0, target_m2 = 0, error_m2 = 0;
  for (int i = 0; i < count; ++i) {
    target_mean += static_cast<double>(target[i]);
    error_mean += static_cast<double>(target[i]) - static_cast<double>(value[i]);
  }
  target_mean /= count;
  error_mean /= count;
  for (int i = 0; i < count; ++i) {
    const double t = static_cast<double>(target[i]) - target_mean;
    const double e = static_cast<double>(target[i]) - static_cast<double>(value[i]) - error_mean;
    target_m2 += t * t;
    error_m2 += e * e;
  }
  const auto all = static_cast<double>(count);
  return {{all, target_mean, target_m2}, {all, error_mean, error_m2}};
}

// A rollout's in host memory, [groups][horizon][chunks of the group's environments].
std::vector<Spread> spreads_of(const RolloutBuffer& buffer, int groups, ThreadPool& pool);

// From the spreads of this rank's groups and all other ranks'; NaN where all returns are equal. Collective.
double explained_variance(const std::vector<Spread>& spreads, int groups, ProcessGroup& group);

}  // namespace rollmill
