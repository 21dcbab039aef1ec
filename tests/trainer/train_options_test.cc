// Reading a training config: defaults, every key, and what is refused.
#include "trainer/train_options.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "core/config/config.h"
#include "tests/core/io/temp_dir.h"
#include "trainer/networks_text.h"
#include "trainer/train_job.h"

namespace rollmill {
namespace {

const char* const kSmall = "[env]\nid = \"CartPole-v1\"\n[trainer]\ntotal_steps = 1000\n";

TrainOptions read(const std::string& text, const std::vector<std::string>& overrides = {},
                  int ranks = 1) {
  Config config = Config::from_string(text, "folder/run.toml", overrides);
  const TrainOptions o = read_train_options(config, ranks);
  config.finish();
  return o;
}

int fails(const std::vector<std::string>& overrides, std::string* message, int ranks = 1) {
  return testing::exit_code_of([&] { read(kSmall, overrides, ranks); }, message);
}

TEST(TrainOptions, Defaults) {
  const TrainOptions o = read(kSmall);
  EXPECT_EQ(o.name, "run");
  EXPECT_EQ(o.env.id, "CartPole-v1");
  EXPECT_EQ(o.env.num_envs, 64);
  EXPECT_EQ(o.env.time_limit, 500);
  EXPECT_EQ(o.total_steps, 1000);
  EXPECT_EQ(o.policy.hidden, (std::vector<int>{64, 64}));
  EXPECT_EQ(o.kernels, "fused");
  EXPECT_EQ(o.stop_window, 0);
  const PpoOptions defaults;
  EXPECT_EQ(o.ppo.horizon, defaults.horizon);
  EXPECT_EQ(o.ppo.clip, defaults.clip);
  EXPECT_EQ(o.ppo.learning_rate, defaults.learning_rate);
}

TEST(TrainOptions, EveryKeyArrives) {
  const TrainOptions o = read(R"([run]
name = "x"
seed = 7
threads = 3
[env]
id = "Pendulum-v1"
num_envs = 8
time_limit = 50
params.gravity = 9.5
[policy]
hidden = [5, 6, 7]
log_std_init = -0.5
normalize_observations = true
clip_observations = 4
[trainer]
kernels = "reference"
total_steps = 1e6
reward_scale = 0.1
[ppo]
horizon = 16
epochs = 2
minibatches = 8
learning_rate = 0.01
anneal_learning_rate = true
gamma = 0.5
gae_lambda = 0.25
clip = 0.125
anneal_clip = true
value_clip = 0.0625
value_huber = 1.5
value_coefficient = 2
entropy_coefficient = 0.5
entropy_coefficient_end = 0.375
normalize_rewards = true
clip_rewards = 12
max_grad_norm = 3
target_kl = 0.75
normalize_advantages = false
adam_beta1 = 0.625
adam_beta2 = 0.875
adam_epsilon = 0.03125
[stop]
mean_return = -150
window = 20
[checkpoint]
every_updates = 5
every_seconds = 6
keep = 7
[evaluation]
episodes = 12
greedy = false
)");
  EXPECT_EQ(o.name, "x");
  EXPECT_EQ(o.seed, 7u);
  EXPECT_EQ(o.threads, 3);
  EXPECT_EQ(o.env.num_envs, 8);
  EXPECT_EQ(o.env.time_limit, 50);
  EXPECT_EQ(o.policy.hidden, (std::vector<int>{5, 6, 7}));
  EXPECT_EQ(o.log_std_init, -0.5f);
  EXPECT_TRUE(o.normalize_observations);
  EXPECT_EQ(o.clip_observations, 4.0f);
  EXPECT_EQ(o.kernels, "reference");
  EXPECT_EQ(o.total_steps, 1000000);
  EXPECT_EQ(o.reward_scale, 0.1f);
  const PpoOptions& p = o.ppo;
  EXPECT_EQ(p.horizon, 16);
  EXPECT_EQ(p.epochs, 2);
  EXPECT_EQ(p.minibatches, 8);
  EXPECT_EQ(p.learning_rate, 0.01);
  EXPECT_TRUE(p.anneal_learning_rate);
  const float read_floats[] = {p.gamma,
                               p.gae_lambda,
                               p.clip,
                               p.value_clip,
                               p.value_coefficient,
                               p.entropy_coefficient,
                               p.max_grad_norm,
                               p.target_kl,
                               p.adam_beta1,
                               p.adam_beta2,
                               p.adam_epsilon,
                               p.value_huber,
                               p.clip_rewards,
                               p.entropy_coefficient_end};
  const float wanted[] = {0.5f,  0.25f,  0.125f, 0.0625f,  2,    0.5f, 3,
                          0.75f, 0.625f, 0.875f, 0.03125f, 1.5f, 12,   0.375f};
  for (int i = 0; i < 14; ++i) EXPECT_EQ(read_floats[i], wanted[i]) << i;
  EXPECT_TRUE(p.anneal_clip);
  EXPECT_TRUE(p.normalize_rewards);
  EXPECT_FALSE(p.normalize_advantages);
  EXPECT_EQ(o.stop_at_return, -150);
  EXPECT_EQ(o.stop_window, 20);
  EXPECT_EQ(o.checkpoint_updates, 5);
  EXPECT_EQ(o.checkpoint_seconds, 6);
  EXPECT_EQ(o.checkpoint_keep, 7);
  EXPECT_EQ(o.evaluation_episodes, 12);
  EXPECT_FALSE(o.evaluation_greedy);
}

TEST(TrainOptions, PpoIsAnnealedLinearly) {
  const PpoOptions plain = read(kSmall, {"ppo.entropy_coefficient=0.25"}).ppo;
  EXPECT_EQ(annealed(plain, 0.75).entropy_coefficient, 0.25f);
  EXPECT_EQ(annealed(plain, 0.75).clip, plain.clip);
  EXPECT_EQ(annealed(plain, 0.75).learning_rate, plain.learning_rate);
  const PpoOptions o =
      read(kSmall, {"ppo.entropy_coefficient=0.25", "ppo.entropy_coefficient_end=0.5",
                    "ppo.anneal_clip=true", "ppo.anneal_learning_rate=true", "ppo.clip=0.5",
                    "ppo.learning_rate=0.125"})
          .ppo;
  const PpoOptions now = annealed(o, 0.75);
  EXPECT_EQ(now.entropy_coefficient, 0.4375f);
  EXPECT_EQ(now.clip, 0.125f);
  EXPECT_EQ(now.learning_rate, 0.03125);
  EXPECT_GT(annealed(o, 1.25).clip, 0.0f);  // the last update of a run that does not divide evenly
  EXPECT_EQ(annealed(o, 1.25).entropy_coefficient, 0.5f);
}

TEST(TrainOptions, StopReturnAloneImpliesAWindow) {
  EXPECT_EQ(read(kSmall, {"stop.mean_return=195"}).stop_window, 100);
}

TEST(TrainOptions, WhatSpansSeveralKeysIsChecked) {
  std::string message;
  EXPECT_EQ(fails({"ppo.minibatches=7"}, &message), 2);
  EXPECT_NE(message.find("ppo.minibatches"), std::string::npos) << message;
  EXPECT_EQ(fails({"env.num_envs=6", "ppo.horizon=8"}, &message, 4), 2);
  EXPECT_NE(message.find("4 ranks"), std::string::npos) << message;
  // 8 x 6 samples in 16 minibatches of 3; each of 3 ranks has 16 samples.
  EXPECT_EQ(fails({"env.num_envs=6", "ppo.horizon=8", "ppo.minibatches=16"}, &message, 3), 0);
  EXPECT_EQ(fails({"env.num_envs=6", "ppo.horizon=8", "ppo.minibatches=16"}, &message, 2), 2);
  EXPECT_EQ(fails({"env.num_envs=16777216", "ppo.horizon=1024"}, &message), 2);
  EXPECT_EQ(fails({"env.num_envs=2097152", "ppo.horizon=1024"}, &message), 2);  // 2^31 to the last
  EXPECT_NE(message.find("ppo.horizon"), std::string::npos) << message;
  EXPECT_EQ(fails({"env.num_envs=2097148", "ppo.horizon=1024"}, &message), 0) << message;
}

TEST(TrainOptions, AWindowWithoutAReturnToStopAtIsRefused) {
  std::string message;
  EXPECT_EQ(fails({"stop.window=10"}, &message), 2);
  EXPECT_NE(message.find("stop.mean_return"), std::string::npos) << message;
  EXPECT_EQ(fails({"stop.window=10", "stop.mean_return=195"}, &message), 0) << message;
  EXPECT_EQ(fails({"stop.window=0"}, &message), 0) << message;
}

TEST(TrainOptions, KernelsOfAGpu) {
  std::string message;
  const std::vector<std::string> cuda = {"env.device=\"cuda\""};
  EXPECT_EQ(read(kSmall, cuda).kernels, "reference");
  EXPECT_EQ(fails({cuda[0], "trainer.kernels=\"reference\""}, &message), 0) << message;
  EXPECT_EQ(fails({cuda[0], "trainer.kernels=\"fused\""}, &message), 0) << message;
  EXPECT_EQ(fails({cuda[0], "trainer.kernels=\"fused\""}, &message, 2), 0) << message;
  EXPECT_EQ(fails({cuda[0], "trainer.kernels=\"fused\"", "trainer.reduction=\"exact\""}, &message),
            0)
      << message;
  EXPECT_EQ(fails({cuda[0], "trainer.reduction=\"exact\""}, &message),
            2);  // the reference's kernels
  EXPECT_NE(message.find("trainer.reduction"), std::string::npos) << message;
  EXPECT_EQ(fails({"env.device=\"cpu\"", "trainer.kernels=\"fused\""}, &message), 0) << message;
  EXPECT_EQ(fails({cuda[0], "policy.memory=\"gru\""}, &message), 0) << message;
  const std::string planes = "env.id=\"MinAtar/Breakout-v1\"", fused = "trainer.kernels=\"fused\"";
  for (const std::string memory : {"policy.memory=\"gru\"", "policy.memory=\"mingru\""}) {
    EXPECT_EQ(fails({cuda[0], planes, fused, memory}, &message), 0) << message;
    EXPECT_EQ(fails({cuda[0], planes, fused, memory, "policy.conv_channels=[16]"}, &message), 0)
        << message;
  }
  for (const std::string conv : {"policy.conv_channels=[16]", "policy.conv_channels=[16,32]"}) {
    EXPECT_EQ(fails({cuda[0], planes, fused, conv}, &message), 0) << message;
    EXPECT_EQ(fails({cuda[0], planes, fused, conv, "trainer.precision=\"bf16\""}, &message), 0)
        << message;
  }
  EXPECT_EQ(fails({"trainer.precision=\"bf16\""}, &message), 0) << message;
  EXPECT_EQ(fails({cuda[0], "trainer.precision=\"bf16\""}, &message), 0) << message;
  for (const char* reduction : {"trainer.reduction=\"fast\"", "trainer.reduction=\"exact\""}) {
    for (const char* memory : {"policy.memory=\"none\"", "policy.memory=\"gru\""}) {
      EXPECT_EQ(fails({cuda[0], fused, "trainer.precision=\"bf16\"", reduction, memory}, &message),
                0)
          << message;
    }
  }
  EXPECT_EQ(fails({"trainer.precision=\"bf16\"", "trainer.kernels=\"reference\""}, &message), 0)
      << message;
}

// Behaviour cloning has the learner's keys, too: groups must make equal minibatches.
TEST(TrainOptions, CloningInGroups) {
  const std::vector<std::string> bc = {"trainer.algorithm=bc", "bc.dataset=d", "bc.horizon=16",
                                       "bc.batch_size=128", "trainer.reduction=exact"};
  const auto with = [&](std::initializer_list<const char*> more) {
    std::vector<std::string> all = bc;
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  EXPECT_EQ(read(kSmall, bc, 4).groups, 8);
  EXPECT_TRUE(read(kSmall, with({"trainer.precision=bf16"})).bf16);
  std::string message;
  EXPECT_EQ(fails(with({"trainer.groups=3", "env.num_envs=6"}), &message, 3), 2);
  EXPECT_NE(message.find("bc.batch_size"), message.npos) << message;
  EXPECT_NE(message.find("3 groups"), message.npos) << message;
  EXPECT_EQ(fails(with({"env.num_envs=6"}), &message, 3), 2);
  EXPECT_NE(message.find("trainer.groups"), message.npos) << message;
  EXPECT_EQ(fails(with({"trainer.kernels=reference"}), &message), 2);
  EXPECT_NE(message.find("trainer.reduction"), message.npos) << message;
}

TEST(TrainOptions, InitialGainsAreKeys) {
  const InitGains gains =
      read(kSmall, {"policy.hidden_gain=1", "policy.actor_gain=0.5", "policy.critic_gain=0"})
          .init_gains;
  EXPECT_EQ(gains, (InitGains{1.0, 0.5, 0.0}));
  EXPECT_EQ(read(kSmall).init_gains, InitGains{});
  std::string message;
  EXPECT_EQ(fails({"trainer.algorithm=dqn", "policy.actor_gain=1"}, &message), 2);
  EXPECT_NE(message.find("policy.actor_gain"), message.npos) << message;
}

// Each network's layers and sizes, whose counts add up to what the policy's file has.
TEST(NetworksText, SaysWhatIsTrained) {
  const std::string masked = "[env]\nid = \"MinAtar/Breakout-v1\"\n[trainer]\ntotal_steps = 1\n";
  const std::string torque = "[env]\nid = \"Pendulum-v1\"\n[trainer]\ntotal_steps = 1\n";
  const auto text = [](const std::string& config, const std::vector<std::string>& keys) {
    return networks_text(read(config, keys));
  };
  EXPECT_EQ(text(kSmall, {}),
            "9155 parameters: actor 4 -> 64 -> 64 -> 2 (4610), critic 4 -> 64 -> 64 -> 1 (4545), tanh");
  EXPECT_EQ(text(kSmall, {"policy.trunk=shared", "policy.memory=gru", "policy.memory_size=8",
                          "policy.hidden=[16]"}),
            "731 parameters: actor and critic 4 -> 16 -> gru 8 -> 3 (731), tanh");
  EXPECT_EQ(text(masked, {"policy.conv_channels=[16]", "policy.hidden=[32]", "policy.trunk=shared",
                          "policy.activation=relu"}),
            "33524 parameters: actor and critic 10x10x4 -> 8x8x16 -> 32 -> 4 (33524), relu");
  EXPECT_EQ(text(torque, {"policy.hidden=[8]"}),
            "83 parameters: actor 3 -> 8 -> 1 (41), critic 3 -> 8 -> 1 (41), log standard deviations (1), "
            "tanh");
  EXPECT_EQ(text(torque, {"trainer.algorithm=sac", "policy.hidden=[8]"}),
            "148 parameters: actor 3 -> 8 -> 2 (50), two critics of 4 -> 8 -> 1 (49 each), tanh");
  EXPECT_EQ(text(kSmall, {"trainer.algorithm=dqn", "policy.hidden=[8]", "dqn.duelling=false"}),
            "58 parameters: Q 4 -> 8 -> 2 (58), tanh");
}

TEST(TrainOptions, RangesAndUnknownKeys) {
  std::string message;
  for (const char* wrong :
       {"ppo.gamma=1.5", "ppo.epochs=0", "policy.hidden=[]", "policy.hidden=[0]",
        "trainer.total_steps=0", "checkpoint.keep=1", "trainer.kernels=\"torch\"",
        "env.id=\"CartPol-v1\"", "ppo.gama=0.9", "env.params.gravty=9", "ppo.learning_rate=nan"}) {
    EXPECT_EQ(fails({wrong}, &message), 2) << wrong;
  }
  EXPECT_EQ(fails({"ppo.gama=0.9"}, &message), 2);
  EXPECT_NE(message.find("ppo.gamma"), std::string::npos) << message;
  EXPECT_EQ(testing::exit_code_of([] { read("[env]\nid = \"CartPole-v1\"\n"); }, &message), 2);
  EXPECT_NE(message.find("trainer.total_steps"), std::string::npos) << message;
}

const char* const kPendulum = "[env]\nid = \"Pendulum-v1\"\n[trainer]\ntotal_steps = 1000\n";

TEST(TrainOptions, EveryKeyOfTheOffPolicyAlgorithmsArrives) {
  const std::vector<std::string> shared = {
      "buffer_size=64",     "learning_starts=7", "train_every=3",
      "updates_per_step=5", "report_every=9",    "batch_size=11",
      "n_step=2",           "gamma=0.5",         "tau=0.25",
      "learning_rate=0.5",  "max_grad_norm=3",   "adam_beta1=0.625",
      "adam_beta2=0.875",   "adam_epsilon=0.5",  "anneal_learning_rate=true"};
  const auto check = [](const OffPolicyOptions& o) {
    const std::int64_t whole[] = {
        o.buffer_size,  o.learning_starts, o.train_every, o.updates_per_step,
        o.report_every, o.batch_size,      o.n_step};
    const std::int64_t wanted[] = {64, 7, 3, 5, 9, 11, 2};
    for (int i = 0; i < 7; ++i) EXPECT_EQ(whole[i], wanted[i]) << i;
    const float real[] = {o.gamma,      o.tau,        o.max_grad_norm,
                          o.adam_beta1, o.adam_beta2, o.adam_epsilon};
    const float also[] = {0.5f, 0.25f, 3, 0.625f, 0.875f, 0.5f};
    for (int i = 0; i < 6; ++i) EXPECT_EQ(real[i], also[i]) << i;
    EXPECT_EQ(o.learning_rate, 0.5);
    EXPECT_TRUE(o.anneal_learning_rate);
  };
  const auto with = [&](const std::string& algorithm, const std::vector<std::string>& own) {
    std::vector<std::string> sets = {"trainer.algorithm=" + algorithm, "env.num_envs=2"};
    for (const auto* list : {&shared, &own}) {
      for (const std::string& key : *list) sets.push_back(algorithm + "." + key);
    }
    return sets;
  };
  const TrainOptions dqn = read(
      kSmall, with("dqn", {"target_every=4", "double=false", "duelling=true", "huber=2",
                           "exploration_start=0.5", "exploration_end=0.25", "exploration_steps=6",
                           "priority_alpha=0.5", "priority_beta=0.25", "priority_epsilon=0.125"}));
  check(dqn.dqn.replay);
  EXPECT_EQ(dqn.dqn.target_every, 4);
  EXPECT_FALSE(dqn.dqn.double_q);
  EXPECT_TRUE(dqn.dqn.duelling);
  EXPECT_EQ(dqn.dqn.huber, 2);
  EXPECT_EQ(dqn.dqn.exploration_start, 0.5f);
  EXPECT_EQ(dqn.dqn.exploration_end, 0.25f);
  EXPECT_EQ(dqn.dqn.exploration_steps, 6);
  EXPECT_EQ(dqn.dqn.priority_alpha, 0.5f);
  EXPECT_EQ(dqn.dqn.priority_beta, 0.25f);
  EXPECT_EQ(dqn.dqn.priority_epsilon, 0.125f);
  const TrainOptions sac =
      read(kPendulum,
           with("sac", {"temperature=0.5", "automatic_temperature=false", "target_entropy=-3"}));
  check(sac.sac.replay);
  EXPECT_EQ(sac.sac.temperature, 0.5f);
  EXPECT_FALSE(sac.sac.automatic_temperature);
  EXPECT_EQ(sac.sac.target_entropy, -3);
  const TrainOptions td3 =
      read(kPendulum, with("td3", {"policy_every=4", "exploration_noise=0.5", "target_noise=0.25",
                                   "target_noise_clip=0.125"}));
  check(td3.td3.replay);
  EXPECT_EQ(td3.td3.policy_every, 4);
  EXPECT_EQ(td3.td3.exploration_noise, 0.5f);
  EXPECT_EQ(td3.td3.target_noise, 0.25f);
  EXPECT_EQ(td3.td3.target_noise_clip, 0.125f);
}

TEST(TrainOptions, WhatAnAlgorithmDoesNotDoIsRefused) {
  std::string message;
  const auto refused = [&](const char* text, std::vector<std::string> sets, const char* names,
                           int ranks = 1) {
    EXPECT_EQ(testing::exit_code_of([&] { read(text, sets, ranks); }, &message), 2) << names;
    EXPECT_NE(message.find(names), std::string::npos) << message;
  };
  const std::string dqn = "trainer.algorithm=dqn", sac = "trainer.algorithm=sac";
  refused(kSmall, {"trainer.algorithm=dqnn"}, "trainer.algorithm");
  refused(kPendulum, {dqn}, "one discrete action");
  refused(kSmall, {sac}, "real actions");
  refused(kSmall, {"trainer.algorithm=td3"}, "real actions");
  refused(kSmall, {dqn}, "3 ranks", 3);  // 64 environments
  refused(kSmall, {dqn, "env.device=cuda"}, "env.device", 2);
  refused(kSmall, {dqn, "env.device=cuda", "env.frame_stack=4"}, "env.frame_stack");
  refused(kSmall,
          {dqn, "env.id=\"MinAtar/Breakout-v1\"", "env.device=cuda", "policy.conv_channels=[16]"},
          "on a GPU");
  refused(kPendulum, {sac, "env.device=cuda"}, "env.device", 2);
  refused(kSmall, {dqn, "env.frame_stack=4"}, "env.frame_stack");
  refused(kSmall, {dqn, "policy.normalize_observations=true"}, "policy.normalize_observations");
  refused(kSmall, {dqn, "policy.memory=gru"}, "policy.memory");
  refused(kPendulum, {sac, "policy.distribution=beta"}, "policy.distribution");
  refused(kPendulum, {sac, "policy.distribution=squashed"}, "policy.distribution");
  refused(kSmall, {dqn, "policy.memory_size=32"}, "policy.memory_size");
  refused(kSmall, {dqn, "policy.log_std_init=-1"}, "policy.log_std_init");
  refused(kPendulum, {sac, "policy.trunk=shared"}, "policy.trunk");
  // Keys and sections of another algorithm.
  refused(kSmall, {dqn, "ppo.clip=0.1"}, "ppo");
  refused(kSmall, {dqn, "trainer.kernels=fused"}, "trainer.kernels");
  refused(kSmall, {"dqn.huber=1"}, "dqn");
  refused(kPendulum, {sac, "td3.tau=0.1"}, "td3");
  // What spans two keys.
  refused(kSmall, {dqn, "dqn.train_every=4", "dqn.report_every=6"}, "dqn.report_every");
  refused(kSmall, {dqn, "dqn.buffer_size=100", "dqn.n_step=2"}, "dqn.buffer_size");
  EXPECT_EQ(fails({dqn, "dqn.duelling=true", "policy.trunk=shared"}, &message, 2), 0) << message;
  refused(kSmall, {dqn, "dqn.duelling=false", "policy.trunk=shared"}, "policy.trunk");
  EXPECT_EQ(read(kSmall, {dqn, "env.num_envs=8", "dqn.train_every=4"}).dqn.replay.report_every,
            124);
}

// The config that a run's folder keeps is the same run's, whatever recipe it came from.
TEST(TrainOptions, EveryRecipesResolvedConfigTrainsAgain) {
  std::set<std::string> algorithms;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(RM_TEST_DATA_DIR) + "/../configs")) {
    Config config = Config::from_file(entry.path().string());
    if (!config.has("trainer")) continue;
    algorithms.insert(read_train_options(config, 1).algorithm);
    const std::string text = config.resolved_toml();
    Config kept = Config::from_string(text, "config.toml");
    EXPECT_NO_THROW({
      read_train_options(kept, 1);
      kept.finish();
    }) << entry.path();
    EXPECT_EQ(kept.resolved_toml(), text) << entry.path();
  }
  EXPECT_EQ(algorithms, (std::set<std::string>{"bc", "distill", "dqn", "ppo", "sac", "td3"}));
}

// A run's resolved config trains again; a curriculum can be switched off, and what it cannot read is named.
TEST(TrainOptions, CurriculumsComeBack) {
  const std::vector<std::string> success = {"curriculum.kind=success",
                                            "curriculum.params.gravity=[9.8,20]"};
  Config config = Config::from_string(kSmall, "run.toml", success);
  read_train_options(config, 1);
  const TrainOptions again = read(config.resolved_toml());
  ASSERT_EQ(again.curriculum.params.size(), 1u);
  EXPECT_EQ(read(kSmall, success).curriculum.fixed_too.size(), 0u);
  EXPECT_EQ(read(kSmall, {success[0], success[1], "env.params.gravity=10"}).curriculum.fixed_too,
            std::vector<std::string>{"env.params.gravity"});
  EXPECT_EQ(again.curriculum.params[0].hard, 20.0);
  EXPECT_EQ(read(config.resolved_toml(), {"curriculum.kind=none"}).curriculum.kind,
            CurriculumKind::kNone);
  std::string message;
  EXPECT_EQ(fails({"curriculum.kind=success", "curriculum.params.gravty=[9.8,20]"}, &message), 2);
  EXPECT_NE(message.find("gravty"), message.npos) << message;
  EXPECT_EQ(fails({success[0], "curriculum.params.gravity=[9.8]"}, &message), 2);
  EXPECT_NE(message.find("two numbers"), message.npos) << message;
}

std::string resolved(const std::vector<std::string>& overrides) {
  Config config = Config::from_string(kSmall, "run.toml", overrides);
  read_train_options(config, 1);
  return config.resolved_toml();
}

TEST(ConfigDifference, NamesTheFirstKeyThatMatters) {
  EXPECT_EQ(config_difference(resolved({}), resolved({})), "");
  EXPECT_EQ(config_difference(resolved({"ppo.clip=0.2"}), resolved({"ppo.clip=0.1"})),
            "ppo.clip: 0.2 there, 0.1 here");
  for (const char* matters :
       {"run.seed=2", "env.num_envs=128", "env.params.gravity=3", "policy.hidden=[64]",
        "ppo.epochs=1", "trainer.reward_scale=0.5", "env.time_limit=7"}) {
    EXPECT_NE(config_difference(resolved({}), resolved({matters})), "") << matters;
  }
  // What may change over a resume: lengths, stopping, threads, checkpoints, evaluation.
  for (const char* free : {"run.threads=3", "trainer.total_steps=5000", "stop.mean_return=100",
                           "checkpoint.keep=9", "evaluation.episodes=3", "run.name=\"other\""}) {
    EXPECT_EQ(config_difference(resolved({}), resolved({free})), "") << free;
  }
}

TEST(ConfigDifference, ValuesWrittenDifferentlyAreEqual) {
  EXPECT_EQ(config_difference(resolved({"ppo.clip=0.20"}), resolved({"ppo.clip=2e-1"})), "");
}

}  // namespace
}  // namespace rollmill
