// PPO's whole loop: a golden hash of short trainings, one for each kind of network and each kind of option. The same bits on
// every machine, thread count and instruction set, from one release to the next: who changes one says so in the CHANGELOG.
#include <gtest/gtest.h>

#include <string>

#include "tests/trainer/resume.h"
#include "tests/trainer/small_ppo.h"

namespace rollmill {
namespace {

TEST(Ppo, ShortTrainingsHaveTheirGoldenHashes) {
  TrainOptions pendulum = testing::small_ppo("Pendulum-v1");
  pendulum.normalize_observations = true;
  pendulum.ppo.normalize_rewards = pendulum.ppo.anneal_clip = pendulum.ppo.anneal_learning_rate =
      true;
  pendulum.ppo.clip_rewards = 4.0f;
  pendulum.ppo.value_huber = 0.5f;
  pendulum.ppo.value_clip = 0.3f;
  pendulum.ppo.entropy_coefficient_end = 0.0f;
  TrainOptions cups = testing::small_ppo("Rollmill/Cups-v0");
  cups.policy = {.hidden = {24},
                 .activation = Activation::kRelu,
                 .trunk = Trunk::kShared,
                 .memory = MemoryKind::kGru,
                 .memory_size = 20};
  cups.ppo.sequence_length = 8;
  cups.ppo.burn_in = 4;
  TrainOptions corridor = testing::small_ppo("Rollmill/MemoryCorridor-v0");
  corridor.policy.hidden = {24};
  corridor.policy.memory = MemoryKind::kMinGru;
  corridor.policy.memory_size = 20;
  TrainOptions breakout = testing::small_ppo("MinAtar/Breakout-v1");
  breakout.policy.conv = {{16, 3, 1}, {16, 2, 2}};
  breakout.policy.hidden = {32};
  breakout.policy.activation = Activation::kRelu;
  EXPECT_EQ(testing::weights_hash(testing::small_ppo("CartPole-v1"), 5), "832b7db8024f1d6d5ef6cbcddda98546");
  EXPECT_EQ(testing::weights_hash(pendulum, 5), "3eea48bdac7ab5ad75a6f90b8f75a9e6");
  EXPECT_EQ(testing::weights_hash(cups, 5), "4b2415c7bcd6e65ab7e09fc26d6b0d5c");
  EXPECT_EQ(testing::weights_hash(corridor, 5), "0458c1674f2ad40d02023d81d161a43d");
  EXPECT_EQ(testing::weights_hash(breakout, 5), "45add124200777a493150214c6ade0a7");
}

TEST(Ppo, ThreadsChangeNothing) {
  TrainOptions o = testing::small_ppo("Pendulum-v1");
  o.env.num_envs = 300;  // more than one part of the reward statistics
  o.normalize_observations = o.ppo.normalize_rewards = true;
  testing::expect_same_on_two_threads(o);
}

}  // namespace
}  // namespace rollmill
