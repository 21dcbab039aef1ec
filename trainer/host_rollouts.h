// RolloutPair on the CPU: a thread begins the next rollout, with a thread pool of the environments' own.
#pragma once

#include <memory>

#include "rollout/rollout_pair.h"
#include "trainer/experience.h"

namespace rollmill {

// pool, the learner's, outlives the result.
std::unique_ptr<RolloutPair> make_host_rollouts(const ExperienceConfig& config,
                                                const PolicyWeights& weights, ThreadPool& pool);

}  // namespace rollmill
