// The scale of rewards from the spread of what they add up to (Engstrom et al. 2020; Gymnasium's NormalizeReward): each
// environment's discounted sum of rewards so far in its episode is followed, and rewards are divided by the standard
// deviation of these sums. A rollout is scaled by the statistics of the rollouts before it, so that all its rewards have
// the same scale; the first has scale 1. Groups' statistics are merged in group order: no rank count changes them.
#pragma once

#include <string>
#include <vector>

#include "rollout/buffer.h"
#include "rollout/normalizer.h"

namespace rollmill {

class H5Group;
class ProcessGroup;
class ThreadPool;

class RewardNormalizer {
 public:
  RewardNormalizer(int num_envs, float gamma)
      : gamma_(gamma), sums_(static_cast<std::size_t>(num_envs)) {}

  // What the next rollout's rewards are multiplied with.
  float scale() const;
  // Learns from a filled rollout in host memory; `groups` of this rank. Collective.
  void update(const RolloutBuffer& buffer, int groups, ThreadPool& pool, ProcessGroup& group);

  void save(H5Group& root) const;
  // Throws Error(kBadData) where the checkpoint's numbers do not fit or are not finite.
  static RewardNormalizer read(const H5Group& root, const std::string& path, int num_envs,
                               float gamma);

 private:
  Moments chunk_moments(const RolloutBuffer& buffer, int begin, int end);

  float gamma_;
  Moments moments_;
  std::vector<double> sums_;  // [num_envs] discounted rewards of the running episodes
};

}  // namespace rollmill
