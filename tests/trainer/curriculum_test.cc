// Curricula: what they make of finished episodes, and that their state restores.
#include "trainer/curriculum.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "core/base/error.h"
#include "core/config/config.h"
#include "envs/env_options.h"
#include "envs/registry.h"
#include "envs/world_options.h"
#include "trainer/train_options.h"

namespace rollmill {
namespace {

// CartPole has no success reason: a return of 475 or more counts.
constexpr EpisodeRecord kWon = {500.0f, 500, 0}, kLost = {9.0f, 9, 1};

TrainOptions options(const std::string& text) {
  Config c = Config::from_string("env.id = \"CartPole-v1\"\ntrainer.total_steps = 1000\n" + text,
                                 "test.toml");
  TrainOptions o = read_train_options(c, 1);
  c.finish();
  return o;
}

Curriculum curriculum(const TrainOptions& o) {
  return {o.curriculum, find_env("CartPole-v1").spec(), o.env.world};
}

constexpr const char* kSuccess =
    "[curriculum]\nkind = \"success\"\nwindow = 10\nstep = 0.25\n"
    "[curriculum.params]\npole_half_length = [0.5, 1.5]\n";

TEST(Curriculum, SuccessStaysInItsBand) {
  Curriculum c = curriculum(options(kSuccess));
  const auto show = [&](int won, int lost) {
    std::vector<EpisodeRecord> episodes(static_cast<std::size_t>(won), kWon);
    episodes.insert(episodes.end(), static_cast<std::size_t>(lost), kLost);
    c.observe(episodes, 0);
    return c.difficulty();
  };
  EXPECT_EQ(show(9, 0), 0.0);   // no whole window yet
  EXPECT_EQ(show(0, 1), 0.25);  // 9 of 10: above the band
  EXPECT_EQ(show(5, 5), 0.25);  // inside
  EXPECT_EQ(show(8, 2), 0.25);  // on its edge
  EXPECT_EQ(show(30, 0), 1.0);
  EXPECT_EQ(show(20, 0), 1.0);  // never above 1
  EXPECT_EQ(show(1, 9), 0.75);
  EXPECT_EQ(show(0, 100), 0.0);  // never below 0
}

TEST(Curriculum, DifficultyBecomesParameters) {
  Curriculum c = curriculum(options(kSuccess));
  c.observe(std::vector<EpisodeRecord>(20, kWon), 0);
  ASSERT_EQ(c.world().draws.size(), 1u);
  EXPECT_EQ(c.world().draws[0].kind, DrawKind::kUniform);
  EXPECT_EQ(c.world().draws[0].a, 0.5f);
  EXPECT_EQ(c.world().draws[0].b, 1.0f);
}

TEST(Curriculum, ScheduleFollowsTheSteps) {
  Curriculum c =
      curriculum(options("[curriculum]\nkind = \"schedule\"\nover_steps = 200\nspread = false\n"
                         "[curriculum.params]\npole_half_length = [1.5, 0.5]\n"));
  c.observe({}, 50);
  EXPECT_EQ(c.difficulty(), 0.25);
  EXPECT_EQ(c.world().draws[0].kind, DrawKind::kConstant);
  EXPECT_EQ(c.world().draws[0].a, 1.25f);
  c.observe({}, 5000);
  EXPECT_EQ(c.difficulty(), 1.0);
}

constexpr const char* kReplay =
    "[env.levels]\ncount = 4\nfirst = 100\n[curriculum]\nkind = \"replay\"\nstaleness = 0.0\n";

EpisodeRecord on_level(EpisodeRecord e, std::uint32_t level) {
  e.level = level;
  return e;
}

TEST(Curriculum, ReplayPrefersLevelsThatAreHalfLearnt) {
  Curriculum c = curriculum(options(kReplay));
  const auto unseen = c.world().levels.weights;
  EXPECT_EQ(unseen, std::vector<float>(4, 0.25f));
  for (int k = 0; k < 20; ++k) {
    c.observe({on_level(kWon, 100), on_level(kLost, 101), on_level(k % 2 == 0 ? kWon : kLost, 102),
               on_level(kLost, 99)},  // from before the curriculum: ignored
              0);
  }
  auto weights = c.world().levels.weights;
  EXPECT_GT(weights[3], weights[2]);  // never seen
  EXPECT_GT(weights[2], weights[0]);  // half learnt before learnt ...
  EXPECT_EQ(weights[0], weights[1]);  // ... or hopeless, which are alike
  EXPECT_NEAR(std::accumulate(weights.begin(), weights.end(), 0.0), 1.0, 1e-6);
}

TEST(Curriculum, StateRestores) {
  for (const char* text : {kSuccess, kReplay}) {
    const TrainOptions o = options(text);
    Curriculum a = curriculum(o), b = curriculum(o);
    a.observe({kWon, kWon, kLost, on_level(kWon, 102), on_level(kLost, 101)}, 7);
    ASSERT_TRUE(b.load(a.save()));
    for (int k = 0; k < 30; ++k) {
      const std::vector<EpisodeRecord> episodes = {
          on_level(k % 3 == 0 ? kLost : kWon, 100 + k % 4)};
      a.observe(episodes, k);
      b.observe(episodes, k);
    }
    EXPECT_EQ(a.save(), b.save());
    EXPECT_EQ(a.world().levels.weights, b.world().levels.weights);
    EXPECT_EQ(a.difficulty(), b.difficulty());
    auto damaged = a.save();
    damaged[0] = std::nan("");
    EXPECT_FALSE(b.load(damaged));
    damaged.pop_back();
    EXPECT_FALSE(b.load(damaged));
  }
}

std::string complaint(const std::string& text) {
  try {
    options(text);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kUsage);
    return e.what();
  }
  return "nothing";
}

TEST(WorldOptions, WhatIsWrongIsNamed) {
  for (const auto& [text, part] : {
           std::pair{"[env.params]\ngravity = {uniform = [3, 2]}\n", "lower end comes first"},
           {"[env.params]\ngravity = {uniform = [3]}\n", "takes 2 numbers"},
           {"[env.params]\ngravity = {unifrom = [3, 4]}\n", "log_uniform"},
           {"[env.params]\ngravity = {uniform = [3, 4], normal = [1, 2]}\n",
            "is a number, or one of"},
           {"[env.params]\ngravity = {uniform = [3, 400]}\n", "out of range"},
           {"[env.params]\ngravity = {log_uniform = [0, 4]}\n", "above 0"},
           {"[env.params]\ngravity = {normal = [9, -1]}\n", "must not be negative"},
           {"[env.params]\ngravity = {choice = []}\n", "takes 1 to 8 numbers"},
           {"[env.levels]\nfirst = 3\n", "env.levels.count"},
           {"[env.levels]\ncount = 0\n", "out of range"},
           {"[curriculum]\nkind = \"schedule\"\n", "curriculum.params"},
           {"[curriculum]\nkind = \"replay\"\n", "env.levels"},
           {"[curriculum]\nkind = \"success\"\nband = [0.8, 0.2]\n[curriculum.params]\ngravity = "
            "[1, 2]\n",
            "lower end"},
       }) {
    EXPECT_NE(complaint(text).find(part), std::string::npos) << text << complaint(text);
  }
}

// What records say of an episode is what the runtime drew.
TEST(WorldOptions, EpisodeWorldsAreTheRuntimes) {
  const EnvEntry& entry = find_env("CartPole-v1");
  for (const char* levels : {"", "[env.levels]\nfirst = 5\ncount = 9\nseed = 3\n"}) {
    const TrainOptions o = options(std::string("[env.params]\ngravity = {uniform = [9, 10]}\n"
                                               "force = {normal = [10, 0.5]}\ncart_mass = 2\n") +
                                   levels);
    BatchConfig c;
    c.num_envs = 40;
    c.seed = 77;
    c.first_environment = 3;
    c.first_episode = 6;
    c.params = o.env.params;
    c.world = o.env.world;
    const auto batch = entry.make_cpu(c, nullptr);
    std::vector<float> observations(static_cast<std::size_t>(batch->stride()) * 4);
    batch->reset(observations.data());
    for (int i = 0; i < 40; ++i) {
      const EpisodeWorld w = episode_world(batch->spec(), o.env.params, o.env.world, 77,
                                           3 + static_cast<std::uint32_t>(i), 6);
      const std::vector<double> drawn = batch->params_of(i);
      ASSERT_EQ(w.params.size(), drawn.size());
      for (std::size_t k = 0; k < drawn.size(); ++k)
        EXPECT_EQ(w.params[k], static_cast<float>(drawn[k]));
      EXPECT_EQ(w.level, batch->level_of(i));
    }
  }
}

TEST(WorldOptions, JsonRoundTrips) {
  const TrainOptions o = options(
      "[env.params]\ngravity = {uniform = [9, 10]}\npole_mass = {choice = [0.1, 0.2]}\n"
      "force = {normal = [10, 0.5]}\ntimestep = {log_uniform = [0.01, 0.02]}\ncart_mass = "
      "{constant = 2}\n"
      "[env.levels]\nfirst = 5\ncount = 9\nseed = 3\n");
  const EnvEntry& entry = find_env("CartPole-v1");
  const std::string json = env_params_json(entry, o.env);
  const EnvOptions back = parse_env_params_json(entry, json, "test");
  EXPECT_EQ(env_params_json(entry, back), json);
  ASSERT_EQ(back.world.draws.size(), 5u);
  EXPECT_EQ(back.world.levels.first, 5u);
  std::string damaged = json;
  damaged.replace(damaged.find("uniform"), 7, "unifurm");
  EXPECT_THROW(parse_env_params_json(entry, damaged, "test"), Error);
}

}  // namespace
}  // namespace rollmill
