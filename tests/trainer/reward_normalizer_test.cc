// The reward normaliser against the plainest computation: all discounted sums of a run in one list, their variance in one go.
#include "trainer/reward_normalizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/dist/process_group.h"
#include "core/rng/rng.h"
#include "envs/env.h"
#include "tests/trainer/scene.h"

namespace rollmill {
namespace {

constexpr int kEnvs = 600, kSteps = 7;
constexpr float kGamma = 0.9f;

struct Rollouts {
  Rollouts() : rollout(testing::scene_spec(true, 1), kSteps, kEnvs) {}
  // Rewards about 3, and an end of an episode every tenth step or so.
  void fill(int number) {
    const RolloutBuffer& b = rollout.buffer();
    Rng rng(9, Purpose::kTest, static_cast<std::uint64_t>(number), 0, 0);
    for (int t = 0; t < kSteps; ++t) {
      for (int i = 0; i < kEnvs; ++i) {
        b.rewards[t * b.stride + i] = 3.0f + rng.uniform(-1.0f, 1.0f);
        b.ends[t * b.stride + i] = rng.uniform(0.0f, 1.0f) < 0.1f ? kTruncated : kRunning;
      }
    }
  }
  HostRollout rollout;
};

TEST(RewardNormalizer, DividesByTheDeviationOfDiscountedSums) {
  ThreadPool pool(2);
  const auto group = make_process_group(LaunchInfo{}, false);
  RewardNormalizer one(kEnvs, kGamma), three(kEnvs, kGamma);
  EXPECT_FLOAT_EQ(one.scale(), 1.0f);
  Rollouts r;
  std::vector<double> sums, running(kEnvs);
  for (int number = 0; number < 3; ++number) {
    r.fill(number);
    const RolloutBuffer& b = r.rollout.buffer();
    one.update(b, 1, pool, *group);
    three.update(b, 3, pool, *group);
    for (int i = 0; i < kEnvs; ++i) {
      double& sum = running[static_cast<std::size_t>(i)];
      for (int t = 0; t < kSteps; ++t) {
        sum = sum * static_cast<double>(kGamma) + static_cast<double>(b.rewards[t * b.stride + i]);
        sums.push_back(sum);
        if (b.ends[t * b.stride + i] != kRunning) sum = 0;
      }
    }
    double mean = 0, variance = 0;
    for (const double s : sums) mean += s / static_cast<double>(sums.size());
    for (const double s : sums)
      variance += (s - mean) * (s - mean) / static_cast<double>(sums.size());
    // float32 is what is left of it.
    EXPECT_FLOAT_EQ(one.scale(), static_cast<float>(1 / std::sqrt(variance + 1e-8)));
    EXPECT_FLOAT_EQ(three.scale(), one.scale());
  }
  EXPECT_LT(one.scale(), 0.5f);
}

}  // namespace
}  // namespace rollmill
