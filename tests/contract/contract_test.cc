// What every registered environment promises, whoever wrote it. New environments are covered by
// registering them.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "envs/env.h"
#include "tests/contract/fixture.h"

namespace rollmill {
namespace {

using test::ContractTest;
using test::Fnv;
using test::Runner;

INSTANTIATE_TEST_SUITE_P(Envs, ContractTest, testing::ValuesIn(env_registry()), test::env_name);

TEST_P(ContractTest, DescribesItself) {
  const EnvSpec spec = entry().spec();
  EXPECT_EQ(spec.id, entry().id);
  EXPECT_FALSE(spec.summary.empty());
  EXPECT_FALSE(spec.references.empty());
  EXPECT_LE(spec.reward_low, spec.reward_high);
  EXPECT_EQ(spec.choices > 0, spec.discrete);
  for (const auto* fields : {&spec.observation, &spec.action}) {
    for (const FieldSpec& field : *fields) {
      EXPECT_FALSE(field.name.empty());
      EXPECT_LT(field.low, field.high) << field.name;
    }
  }
  for (const ParamSpec& param : spec.params) {
    EXPECT_LE(param.field.low, param.default_value) << param.field.name;
    EXPECT_GE(param.field.high, param.default_value) << param.field.name;
  }
}

TEST_P(ContractTest, ParametersAreCheckedAndUsed) {
  const EnvSpec spec = entry().spec();
  BatchConfig c = config(64);
  const auto defaults = Runner(entry(), c).play(100);
  for (const ParamSpec& param : spec.params) c.params.push_back(param.default_value);
  EXPECT_EQ(Runner(entry(), c).play(100), defaults);  // given or not, the same numbers
  const std::vector<double> given = c.params;
  int matter = 0;
  for (std::size_t k = 0; k < given.size(); ++k) {
    const ParamSpec& param = spec.params[k];
    for (const double outside : {param.field.low - 1, param.field.high * 2 + 1, std::nan("")}) {
      c.params = given;
      c.params[k] = outside;
      EXPECT_THROW(entry().make_cpu(c, nullptr), Error) << param.field.name << " = " << outside;
    }
    c.params = given;  // a tenth of the way to the far end of its range
    const bool to_high = param.field.high - given[k] > given[k] - param.field.low;
    c.params[k] += ((to_high ? param.field.high : param.field.low) - given[k]) / 10;
    if (param.integer) c.params[k] = std::round(c.params[k]);
    matter += Runner(entry(), c).play(100) != defaults;
  }
  EXPECT_GE(2 * matter, static_cast<int>(given.size()));  // goals and walls need not be reached
  c.params = given;
  c.params.push_back(1.0);
  EXPECT_THROW(entry().make_cpu(c, nullptr), Error);
  if (given.size() > 1) {
    c.params = {given[0]};
    EXPECT_THROW(entry().make_cpu(c, nullptr), Error);
  }
}

TEST_P(ContractTest, SameBitsForAnyNumberOfThreads) {
  Runner alone(entry(), config(1500));
  const auto expected = alone.play(300);
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    Runner pooled(entry(), config(1500), &pool);
    EXPECT_EQ(pooled.play(300), expected) << threads << " threads";
    EXPECT_EQ(pooled.snapshot(), alone.snapshot()) << threads << " threads";
  }
}

TEST_P(ContractTest, SameEpisodesHoweverTheBatchIsCut) {
  constexpr int kSteps = 250;
  Runner whole(entry(), config(1000));
  const auto expected = whole.play(kSteps);
  for (int part = 0; part < 10; ++part) {
    BatchConfig c = config(100);
    c.first_environment = static_cast<std::uint32_t>(100 * part);
    Runner piece(entry(), c);
    const std::vector<std::uint64_t> slice(expected.begin() + 100 * part,
                                           expected.begin() + 100 * (part + 1));
    EXPECT_EQ(piece.play(kSteps), slice) << "part " << part;
  }
  for (const std::uint32_t id : {0u, 17u, 511u, 512u, 999u}) {
    BatchConfig c = config(1);
    c.first_environment = id;
    EXPECT_EQ(Runner(entry(), c).play(kSteps).front(), expected[id]) << "environment " << id;
  }
  BatchConfig c = config(140);
  c.first_environment = 3;
  c.environment_stride = 7;
  Runner strided(entry(), c);
  const auto values = strided.play(kSteps);
  for (int i = 0; i < 140; ++i) EXPECT_EQ(values[i], expected[3 + 7 * i]) << i;
}

TEST_P(ContractTest, EnvironmentsAndSeedsDiffer) {
  const auto first = Runner(entry(), config(50)).play(20);
  BatchConfig c = config(50);
  c.seed += 1;
  const auto other = Runner(entry(), c).play(20);
  for (int i = 0; i < 50; ++i) {
    EXPECT_NE(first[i], other[i]);
    if (i > 0) {
      EXPECT_NE(first[i], first[i - 1]);
    }
  }
}

TEST_P(ContractTest, SnapshotRestores) {
  Runner runner(entry(), config(600));
  runner.play(37);
  const auto saved = runner.snapshot();
  const auto first = runner.play(50);
  const auto after = runner.snapshot();
  Runner fresh(entry(), config(600));
  for (Runner* target : {&runner, &fresh}) {
    target->batch().load(saved.data());
    EXPECT_EQ(target->snapshot(), saved);
    target->batch().observe(target->observations.data());
    target->play(50);
    EXPECT_EQ(target->snapshot(), after);
  }
  runner.batch().load(saved.data());
  fresh.batch().load(saved.data());
  runner.batch().observe(runner.observations.data());
  fresh.batch().observe(fresh.observations.data());
  const auto second = runner.play(50);
  EXPECT_EQ(second, fresh.play(50));
  EXPECT_EQ(first.size(), second.size());
}

TEST_P(ContractTest, ObserveRepeatsWhatTheStepWrote) {
  Runner runner(entry(), config(70));
  runner.play(30);
  const auto written = runner.observations;
  for (float& x : runner.observations) x = math::kNan;
  runner.batch().observe(runner.observations.data());
  for (int k = 0; k < runner.observation_size(); ++k) {
    for (int i = 0; i < runner.n(); ++i) {
      EXPECT_EQ(math::to_bits(runner.observation(k, i)),
                math::to_bits(written[k * runner.stride() + i]));
    }
  }
}

TEST_P(ContractTest, StateWordsAreTheState) {
  Runner runner(entry(), config(20));
  runner.play(10);
  const auto words = runner.batch().state_words(3);
  EXPECT_EQ(words.size(), runner.spec().state_fields.size());
  const auto neighbour = runner.batch().state_words(12);
  EXPECT_NE(words, neighbour);
  runner.batch().set_state_words(11, words);
  EXPECT_EQ(runner.batch().state_words(11), words);
  EXPECT_EQ(runner.batch().state_words(12), neighbour);
  runner.batch().observe(runner.observations.data());
  for (int k = 0; k < runner.observation_size(); ++k) {
    EXPECT_EQ(runner.observation(k, 11), runner.observation(k, 3));
  }
}

// Observations and rewards are finite and within the ranges that the manifest states (as float32).
// Four roundings of the reward's bound are its sums'.
TEST_P(ContractTest, ValuesStayInTheirRanges) {
  Runner runner(entry(), config(2000));
  const EnvSpec& spec = runner.spec();
  const auto slack = [](double bound) { return std::abs(bound) * 4 * 0x1p-24; };
  for (int t = 0; t < 400; ++t) {
    runner.step();
    int outside = 0;
    for (int i = 0; i < runner.n(); ++i) {
      for (int k = 0; k < runner.observation_size(); ++k) {
        const auto low = static_cast<float>(spec.observation[k].low);
        const auto high = static_cast<float>(spec.observation[k].high);
        const float x = runner.observation(k, i);
        outside += !(x >= low && x <= high);
        const float last = runner.final_observation(k, i);
        outside += runner.ends[i] != kRunning && !(last >= low && last <= high);
      }
      const double reward = runner.rewards[i];
      outside += !(reward >= spec.reward_low - slack(spec.reward_low) &&
                   reward <= spec.reward_high + slack(spec.reward_high));
    }
    ASSERT_EQ(outside, 0) << "step " << t;
  }
}

// Every output of every environment is written, those of ended episodes only where one ended, the
// padding never.
TEST_P(ContractTest, WritesWhatItShouldAndNothingElse) {
  Runner runner(entry(), config(1001, 9));
  for (int t = 1; t <= 40; ++t) {
    runner.poison();
    runner.step();
    int wrong = 0;
    for (int i = 0; i < runner.stride(); ++i) {
      const bool inside = i < runner.n();
      const bool ended = inside && runner.ends[i] != kRunning;
      wrong += inside ? runner.ends[i] > kTruncated : runner.ends[i] != test::kPoisonByte;
      wrong += math::is_finite(runner.rewards[i]) != inside;
      wrong += (runner.outcomes[i] != test::kPoisonByte) != ended;
      wrong += ended ? runner.outcomes[i] >= runner.spec().outcomes.size() : 0;
      wrong += (math::to_bits(runner.returns[i]) != test::kPoison) != ended;
      wrong += (runner.lengths[i] != -7) != ended;
      for (int k = 0; k < runner.observation_size(); ++k) {
        wrong += math::is_finite(runner.observation(k, i)) != inside;
        wrong += (math::to_bits(runner.final_observation(k, i)) != test::kPoison) != ended;
      }
    }
    ASSERT_EQ(wrong, 0) << "step " << t;
  }
}

// Ranges of environments stepped one after another, in any order and size, are the step of the
// whole batch.
TEST_P(ContractTest, RangesMakeUpAStep) {
  Runner whole(entry(), config(1100)), cut(entry(), config(1100));
  const auto expected = whole.play(60);
  cut.cut_at = {1040, 512, 512, 3, 1};
  EXPECT_EQ(cut.play(60), expected);
  EXPECT_EQ(cut.snapshot(), whole.snapshot());
}

TEST_P(ContractTest, OptionalOutputsMayBeNull) {
  Runner full(entry(), config(100, 5)), bare(entry(), config(100, 5));
  AlignedVector<std::int32_t> choices(full.stride(), 0);
  AlignedVector<float> actions(full.stride() * full.spec().action_size(), 0.25f);
  for (int t = 0; t < 12; ++t) {
    StepBuffers b;
    b.actions = full.spec().discrete ? static_cast<const void*>(choices.data()) : actions.data();
    b.observations = bare.observations.data();
    b.rewards = bare.rewards.data();
    b.ends = bare.ends.data();
    bare.batch().step(b);
    b.observations = full.observations.data();
    b.rewards = full.rewards.data();
    b.ends = full.ends.data();
    b.final_observations = full.final_observations.data();
    b.outcomes = full.outcomes.data();
    b.episode_returns = full.returns.data();
    b.episode_lengths = full.lengths.data();
    full.batch().step(b);
    EXPECT_EQ(bare.snapshot(), full.snapshot());
  }
}

// The first episode of 1,000 environments: FNV-1a of each one's first observation and of each
// step's reward, end and observation (the last step's is the final one), then FNV-1a of those
// hashes in environment order. Any compiler, flag set and thread count must give the stored value;
// a change of it breaks the replay of recorded data. ROLLMILL_PRINT_GOLDEN=1 prints the line to
// store. This test never writes the file.
std::uint64_t golden_hash(const EnvEntry& entry, const BatchConfig& config) {
  Runner runner(entry, config);
  std::vector<Fnv> hashes(config.num_envs);
  std::vector<bool> done(config.num_envs, false);
  int running = config.num_envs;
  for (int i = 0; i < config.num_envs; ++i) {
    for (int k = 0; k < runner.observation_size(); ++k) hashes[i].add(runner.observation(k, i));
  }
  for (int t = 0; t < 10000 && running > 0; ++t) {
    runner.step();
    for (int i = 0; i < config.num_envs; ++i) {
      if (done[i]) continue;
      const bool ended = runner.ends[i] != kRunning;
      hashes[i].add(runner.rewards[i]);
      hashes[i].add(std::uint32_t{runner.ends[i]});
      for (int k = 0; k < runner.observation_size(); ++k) {
        hashes[i].add(ended ? runner.final_observation(k, i) : runner.observation(k, i));
      }
      done[i] = ended;
      running -= ended ? 1 : 0;
    }
  }
  EXPECT_EQ(running, 0) << "episodes without an end";
  Fnv all;
  for (const Fnv& hash : hashes) all.add(hash.value());
  return all.value();
}

TEST_P(ContractTest, GoldenHash) {
  char line[128];
  std::snprintf(line, sizeof line, "%s 0x%016llx", entry().id,
                static_cast<unsigned long long>(golden_hash(entry(), config(1000))));
  if (std::getenv("ROLLMILL_PRINT_GOLDEN") != nullptr) std::printf("%s\n", line);
  std::ifstream file(std::string(RM_TEST_DATA_DIR) + "/golden/contract_hashes.txt");
  ASSERT_TRUE(file.is_open());
  const std::string prefix = std::string(entry().id) + " ";
  for (std::string stored; std::getline(file, stored);) {
    if (stored.rfind(prefix, 0) != 0) continue;
    EXPECT_EQ(line, stored);
    return;
  }
  FAIL() << "no hash stored for " << entry().id << "; ROLLMILL_PRINT_GOLDEN=1 prints it";
}

}  // namespace
}  // namespace rollmill
