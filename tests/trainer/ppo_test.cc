// PPO's whole loop: a golden hash of short trainings, one for each kind of network and each kind of option. The same bits on
// every machine, thread count and instruction set, from one release to the next: who changes one says so in the CHANGELOG.
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "rollout/mlp/bf16.h"
#include "tests/trainer/resume.h"
#include "tests/trainer/small_ppo.h"

namespace rollmill {
namespace {

TrainOptions pendulum() {
  TrainOptions o = testing::small_ppo("Pendulum-v1");
  o.normalize_observations = true;
  o.ppo.normalize_rewards = o.ppo.anneal_clip = o.ppo.anneal_learning_rate = true;
  o.ppo.clip_rewards = 4.0f;
  o.ppo.value_huber = 0.5f;
  o.ppo.value_clip = 0.3f;
  o.ppo.entropy_coefficient_end = 0.0f;
  return o;
}

TrainOptions cups() {
  TrainOptions o = testing::small_ppo("Rollmill/Cups-v0");
  o.policy = {.hidden = {24},
              .activation = Activation::kRelu,
              .trunk = Trunk::kShared,
              .memory = MemoryKind::kGru,
              .memory_size = 20};
  o.ppo.sequence_length = 8;
  o.ppo.burn_in = 4;
  return o;
}

TrainOptions corridor() {
  TrainOptions o = testing::small_ppo("Rollmill/MemoryCorridor-v0");
  o.policy.hidden = {24};
  o.policy.memory = MemoryKind::kMinGru;
  o.policy.memory_size = 20;
  return o;
}

TrainOptions breakout() {
  TrainOptions o = testing::small_ppo("MinAtar/Breakout-v1");
  o.policy.conv = {{16, 3, 1}, {16, 2, 2}};
  o.policy.hidden = {32};
  o.policy.activation = Activation::kRelu;
  return o;
}

// One convolution, whose patches are looked up, for actor and critic apart, and before a memory.
TrainOptions asterix() {
  TrainOptions o = testing::small_ppo("MinAtar/Asterix-v1");
  o.policy.conv = {{16, 3, 1}};
  o.policy.hidden = {32};
  return o;
}
TrainOptions freeway() {
  TrainOptions o = asterix();
  o.env.id = "MinAtar/Freeway-v1";
  o.policy.trunk = Trunk::kShared;
  o.policy.memory = MemoryKind::kMinGru;
  o.policy.memory_size = 20;
  return o;
}

TEST(Ppo, ShortTrainingsHaveTheirGoldenHashes) {
  EXPECT_EQ(testing::weights_hash(testing::small_ppo("CartPole-v1"), 5),
            "832b7db8024f1d6d5ef6cbcddda98546");
  EXPECT_EQ(testing::weights_hash(pendulum(), 5), "3eea48bdac7ab5ad75a6f90b8f75a9e6");
  EXPECT_EQ(testing::weights_hash(cups(), 5), "4b2415c7bcd6e65ab7e09fc26d6b0d5c");
  EXPECT_EQ(testing::weights_hash(corridor(), 5), "0458c1674f2ad40d02023d81d161a43d");
  EXPECT_EQ(testing::weights_hash(breakout(), 5), "45add124200777a493150214c6ade0a7");
  EXPECT_EQ(testing::weights_hash(asterix(), 5), "a6b0c9444bd017852936e7047f3448da");
  EXPECT_EQ(testing::weights_hash(freeway(), 5), "d7f1994eb019d8678981f63e14183209");
}

// trainer.precision = "bf16": with the processor's instruction and without it, each its own hash. The policy acts as it learns:
// before the first step of an update all ratios are 1.
TEST(Ppo, Bf16HasTheSameBitsWithTheInstructionAndWithout) {
  struct Golden {
    TrainOptions options;
    const char* hash;
  };
  for (const auto& [options, hash] :
       {Golden{testing::small_ppo("CartPole-v1"), "43a31e50f3f7903dda9646f1e236064a"},
        Golden{pendulum(), "2ce102b2fd629ce9afb2d35e37d83842"},
        Golden{cups(), "e7369c1b3847b70fbfe5a696f6877d92"},
        Golden{corridor(), "1819ba20a375d57e84f700aae70a4256"},
        Golden{breakout(), "1cf0ef366289f1034eead37e580a5aca"},
        Golden{asterix(), "5c9bcab136e31b40246d75c78fd88120"}}) {
    TrainOptions o = options;
    o.bf16 = true;
    for (const bool hardware : {true, false}) {
      choose_bf16_instruction(hardware ? Bf16Instruction::kAlways : Bf16Instruction::kNever);
      EXPECT_EQ(testing::weights_hash(o, 5), hash) << o.env.id << (hardware ? "" : ", float32");
    }
    choose_bf16_instruction(Bf16Instruction::kWhereFaster);
    testing::Run run(o);
    int checked = 0;
    for (int update = 0; update < 3; ++update) {
      for (const Metric& m : run->step().metrics) {
        if (m.name != std::string_view("first_ratio_error")) continue;
        EXPECT_EQ(m.value, 0) << o.env.id;
        ++checked;
      }
    }
    EXPECT_EQ(checked, 3);
  }
}

TEST(Ppo, Bf16ResumesAndIsTheSameOnTwoThreads) {
  TrainOptions o = pendulum();
  o.bf16 = true;
  testing::expect_resume_equals_no_interruption(o);
  testing::expect_same_on_two_threads(o);
  o.ppo.overlap = true;
  o.ppo.normalize_rewards = false;
  testing::expect_resume_equals_no_interruption(o);
}

// The rollout that waits is learned from by V-trace; gradients of four groups are added in order.
TEST(Ppo, OverlapAndGroupsHaveTheirGoldenHashes) {
  TrainOptions o = testing::small_ppo("CartPole-v1");
  o.ppo.overlap = true;
  EXPECT_EQ(testing::weights_hash(o, 5), "abdfa7b2c6445f792537cfd203924d7a");
  o = testing::small_ppo("CartPole-v1");
  o.groups = 4;
  EXPECT_EQ(testing::weights_hash(o, 5), "cf272806f6fab74180e1bdb417f2e7da");
}

// The world of the next episodes changes before the checkpoint and after it.
TEST(Ppo, ResumesInTheMidstOfACurriculum) {
  TrainOptions o = testing::small_ppo("CartPole-v1");
  o.curriculum.kind = CurriculumKind::kSuccess;
  o.curriculum.params = {{0, 9.8, 20}};
  o.curriculum.window = 7;
  o.curriculum.band_low = -1;
  o.curriculum.band_high = -0.5;  // every window is too easy
  testing::Run run(o);
  for (int k = 0; k < 3; ++k) run->step();
  const double before = run->curriculum().difficulty();
  for (int k = 0; k < 3; ++k) run->step();
  EXPECT_GT(before, 0.1);
  EXPECT_GT(run->curriculum().difficulty(), before);
  testing::expect_resume_equals_no_interruption(o);
}

TEST(Ppo, ThreadsChangeNothing) {
  TrainOptions o = testing::small_ppo("Pendulum-v1");
  o.env.num_envs = 300;  // more than one part of the reward statistics
  o.normalize_observations = o.ppo.normalize_rewards = true;
  testing::expect_same_on_two_threads(o);
}

}  // namespace
}  // namespace rollmill
