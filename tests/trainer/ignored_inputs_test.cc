// policy.actor_ignores: what the actor must not see has no weight in it, before and after training, while the critic uses it.
#include "trainer/ignored_inputs.h"

#include <gtest/gtest.h>

#include "core/config/config.h"
#include "envs/registry.h"
#include "rollout/mlp/mlp_policy.h"
#include "rollout/mlp/policy_file.h"
#include "tests/core/io/temp_dir.h"
#include "tests/trainer/resume.h"

namespace rollmill {
namespace {

TrainOptions options(const char* env, std::vector<std::string> ignored) {
  TrainOptions o;
  o.env.id = env;
  o.env.num_envs = 16;
  o.threads = 1;
  o.total_steps = 16 * 16 * 100;
  o.policy.hidden = {24};
  o.ppo.horizon = 16;
  o.ppo.minibatches = 2;
  o.ppo.learning_rate = 3e-3;
  o.actor_ignores = std::move(ignored);
  return o;
}

// Log-probability and value of the first rows of a rollout, with one word of the observation changed.
struct Said {
  std::vector<float> logits, values;
};
Said ask(const EnvSpec& spec, const PolicyWeights& weights, int column, std::uint32_t flip) {
  HostRollout rollout(spec, 1, 16, weights.layout.shape.frame_stack,
                      {weights.layout.shape.memory_columns(), 1, 0});
  const RolloutBuffer& b = rollout.buffer();
  BatchConfig config;
  config.num_envs = 16;
  const auto batch = find_env(spec.id).make_cpu(config, nullptr);
  batch->reset(b.observation_slot(0), b.mask_slot(0));
  auto* words = reinterpret_cast<Word*>(b.observation_slot(0));
  for (int i = 0; i < 16; ++i) words[column * b.stride + i] ^= flip;
  const EpisodeColumns keys = batch->episodes();
  ActRequest q = request_for_slot(b, 0);
  q.keys = keys;
  q.end = 16;
  q.masks = nullptr;  // of all choices: a mask may leave just one
  MlpPolicy(spec, weights, 3, true).act(q);
  return {{b.logprobs, b.logprobs + 16}, {b.values, b.values + 16}};
}

void expect_ignored(const TrainOptions& o, int column, std::uint32_t flip) {
  const auto group = make_process_group(LaunchInfo{}, false);
  const auto trainer = make_trainer(o, *group);
  for (int update = 0; update < 3; ++update) trainer->step();
  const EnvSpec& spec = trainer->run().spec;
  EXPECT_EQ(ignored_fields(spec, trainer->weights().layout, trainer->weights().params.data()),
            o.actor_ignores);
  const Said plain = ask(spec, trainer->weights(), column, 0),
             changed = ask(spec, trainer->weights(), column, flip);
  EXPECT_EQ(plain.logits, changed.logits);
  EXPECT_NE(plain.values, changed.values);
  // Without the option the same change is seen.
  TrainOptions sees = o;
  sees.actor_ignores.clear();
  const auto other = make_trainer(sees, *group);
  for (int update = 0; update < 3; ++update) other->step();
  EXPECT_NE(ask(spec, other->weights(), column, 0).logits,
            ask(spec, other->weights(), column, flip).logits);
}

TEST(IgnoredInputs, OnlyTheCriticSeesThem) {
  expect_ignored(options("CartPole-v1", {"pole angle"}), 2, 0x00400000u);
  // The plane of the ball under its cup: bits 144 to 191, of which the ball's row is word 5.
  expect_ignored(options("Rollmill/CupsOpen-v0", {"hidden ball"}), 5, 0x5u);
  expect_ignored(options("Blackjack-v1", {"usable ace"}), 2, 0x1u);
  TrainOptions conv = options("Rollmill/CupsOpen-v0", {"hidden ball"});
  conv.policy.conv = {{16, 2, 1}};
  expect_ignored(conv, 5, 0x5u);
  TrainOptions gru = options("Rollmill/CupsOpen-v0", {"hidden ball"});
  gru.policy.memory = MemoryKind::kGru;
  gru.policy.memory_size = 12;
  expect_ignored(gru, 5, 0x5u);
}

// A policy to start from that does look there: it stops looking.
TEST(IgnoredInputs, AlsoFromAPolicyThatSawThem) {
  const testing::TempDir dir;
  const std::string path = dir / "policy.safetensors";
  testing::Run seeing(options("CartPole-v1", {}));
  seeing->step();
  save_policy(path, "CartPole-v1", "{}", seeing->weights());
  TrainOptions o = options("CartPole-v1", {"pole angle"});
  o.init.policy = path;
  expect_ignored(o, 2, 0x00400000u);
}

TEST(IgnoredInputs, InEveryFrameOfAStack) {
  const EnvSpec spec = find_env("CartPole-v1").spec();
  const MlpLayout layout(shape_for(spec, {24}, 3));
  const auto ranges = actor_weights_of({"pole angle"}, spec, layout);
  ASSERT_EQ(ranges.size(), 3u);
  const DenseLayer& first = layout.actor.dense.front();
  for (int frame = 0; frame < 3; ++frame) {
    const ParamRange& r = ranges[static_cast<std::size_t>(frame)];
    EXPECT_EQ(r.begin, first.weight + (4 * frame + 2) * first.width);
    EXPECT_EQ(r.end - r.begin, first.width);
  }
}

TEST(IgnoredInputs, FieldsOfEveryKindOfSpace) {
  const auto range = [](const char* id, int field) {
    const ElementRange r = elements_of_field(find_env(id).spec(), field);
    return std::pair{r.begin, r.end};
  };
  EXPECT_EQ(range("CartPole-v1", 3), std::pair(3, 4));
  EXPECT_EQ(range("Blackjack-v1", 1), std::pair(32, 43));
  EXPECT_EQ(range("MinAtar/Breakout-v1", 2), std::pair(200, 300));
}

TEST(IgnoredInputs, WhatCannotBeIsRefused) {
  const auto fails = [](std::vector<std::string> overrides, std::string* message) {
    overrides.push_back("policy.actor_ignores=[\"pole angle\"]");
    return testing::exit_code_of(
        [&] {
          Config c = Config::from_string(
              "[env]\nid = \"CartPole-v1\"\n[trainer]\ntotal_steps = 1000\n", "r.toml", overrides);
          read_train_options(c, 1);
          c.finish();
        },
        message);
  };
  std::string message;
  EXPECT_EQ(fails({}, &message), 0);
  EXPECT_EQ(fails({"policy.trunk=shared"}, &message), 2);
  EXPECT_NE(message.find("separate"), std::string::npos) << message;
  EXPECT_EQ(fails({"trainer.algorithm=dqn"}, &message), 2);
  EXPECT_NE(message.find("dqn"), std::string::npos) << message;
  EXPECT_EQ(fails({"env.id=Pendulum-v1"}, &message), 2);
  EXPECT_NE(message.find("'pole angle' is no observation of Pendulum-v1"), std::string::npos)
      << message;
}

TEST(IgnoredInputs, ResumesAndRepeatsBitForBit) {
  testing::expect_resume_equals_no_interruption(options("Rollmill/CupsOpen-v0", {"hidden ball"}));
}

}  // namespace
}  // namespace rollmill
