// Shards as the builder makes them, whole dataset jobs, and replay.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <filesystem>

#include "core/config/config.h"
#include "core/dist/process_group.h"
#include "datasets/reader.h"
#include "datasets/writer.h"
#include "envs/env_options.h"
#include "generators/dataset_job.h"
#include "generators/replay.h"
#include "generators/shard_builder.h"
#include "tests/core/io/temp_dir.h"
#include "tests/generators/episodes.h"

namespace rollmill {
namespace {

using testing::exit_code_of;
using testing::Job;
using testing::play;
using testing::TempDir;

std::vector<Column> columns(const EnvSpec& spec, bool outputs) {
  Column action;
  action.dtype = !spec.continuous() ? DType::kI8 : DType::kF32;
  if (spec.continuous()) action.row_shape = {static_cast<std::uint64_t>(spec.action_size())};
  return standard_columns(
      {DType::kF32, {static_cast<std::uint64_t>(spec.observation_size())}, action}, outputs, 0);
}

ShardData build(const Job& j, int threads) {
  ThreadPool pool(threads);
  ShardData data(columns(j.job.env->spec(), j.job.policy_outputs));
  build_shard(j.job, pool, data);
  return data;
}

TEST(ShardBuilder, LaysEpisodesOutInOrder) {
  for (const char* env : {"CartPole-v1", "Pendulum-v1"}) {
    const Job j(env, 100, 80, true, 37);
    const ShardData data = build(j, 2);
    check_structure(data, "shard");
    EXPECT_EQ(data.first_episode, 100);
    EXPECT_EQ(data.episodes(), 80u);
    const auto starts = data.values<std::int64_t>("episodes/start");
    const auto returns = data.values<float>("episodes/return");
    const auto size = static_cast<std::size_t>(j.job.env->spec().observation_size());
    std::size_t steps = 0;
    for (const auto& [number, episode] : play(j.job, 1)) {
      const auto e = static_cast<std::size_t>(number - 100);
      const auto width = static_cast<std::size_t>(episode.width);
      ASSERT_EQ(starts[e], static_cast<std::int64_t>(steps));
      EXPECT_EQ(data.values<std::int32_t>("episodes/length")[e], episode.summary.length);
      EXPECT_EQ(data.values<std::int64_t>("episodes/id")[e], number);
      EXPECT_EQ(data.values<std::uint64_t>("episodes/seed_key")[e], 9u);
      EXPECT_EQ(data.values<std::uint8_t>("episodes/outcome")[e], episode.summary.outcome);
      double sum = 0, size_of_sum = 0;
      for (std::size_t t = 0; t < static_cast<std::size_t>(episode.summary.length); ++t) {
        const std::uint32_t* row = episode.words.data() + t * width;
        const auto number_at = [&](std::size_t k) { return __builtin_bit_cast(float, row[k]); };
        for (std::size_t k = 0; k < size; ++k) {
          ASSERT_EQ(data.values<float>("observations")[(steps + t) * size + k], number_at(k));
        }
        if (j.job.env->spec().single_choice()) {
          ASSERT_EQ(data.values<std::int8_t>("actions")[steps + t], static_cast<int>(row[size]));
        } else {
          ASSERT_EQ(data.values<float>("actions")[steps + t], number_at(size));
        }
        ASSERT_EQ(data.values<float>("rewards")[steps + t], number_at(size + 1));
        ASSERT_EQ(data.values<float>("logprobs")[steps + t], number_at(size + 2));
        ASSERT_EQ(data.values<float>("values")[steps + t], number_at(size + 3));
        sum += number_at(size + 1);
        size_of_sum += std::abs(number_at(size + 1));
      }
      // float32 sums of `length` rewards: an ulp of the sum of sizes each.
      EXPECT_NEAR(returns[e], sum, episode.summary.length * 0x1p-24 * size_of_sum);
      steps += static_cast<std::size_t>(episode.summary.length);
      EXPECT_EQ(data.values<std::uint8_t>("terminals")[steps - 1],
                episode.summary.terminated ? 1 : 0);
      EXPECT_EQ(data.values<std::uint8_t>("timeouts")[steps - 1],
                episode.summary.terminated ? 0 : 1);
    }
    EXPECT_EQ(data.steps(), steps);
    EXPECT_EQ(build(j, 5).content_hash(), data.content_hash());
  }
}

TEST(ShardBuilder, TrimKeepsTheFirstEpisodes) {
  const Job j("CartPole-v1", 7, 20, false), first("CartPole-v1", 7, 6, false);
  ShardData data = build(j, 2);
  trim_shard(data, 20);
  EXPECT_EQ(data.content_hash(), build(j, 1).content_hash());
  trim_shard(data, 6);
  check_structure(data, "trimmed");
  EXPECT_EQ(data.content_hash(), build(first, 1).content_hash());
  // A shard that is used again holds nothing of what it held.
  ThreadPool pool(2);
  ShardData again = build(j, 2);
  build_shard(first.job, pool, again);
  EXPECT_EQ(again.content_hash(), data.content_hash());
}

GenerateOptions generate_options(const std::vector<std::string>& overrides) {
  Config config = Config::from_string(
      "[env]\nid = \"CartPole-v1\"\n[generate]\nshard_transitions = 2000\n", "job.toml", overrides);
  const GenerateOptions o = read_generate_options(config);
  config.finish();
  return o;
}

GenerateResult generate(const GenerateOptions& o, const std::string& dir, int threads,
                        bool resume = false, std::int64_t shards_before_stop = 1 << 20) {
  ThreadPool pool(threads);
  const RandomPolicy policy(find_env(o.env.id).spec(), o.seed);
  const auto group = make_process_group(LaunchInfo{}, false);
  // The stop comes while the next shard is under way, and is asked for from every thread of the pool.
  std::atomic<std::int64_t> shards{0}, polls{0};
  return run_dataset_job(
      o, policy, dir, resume, "config", *group, pool,
      [&](const GenerateProgress& p) { shards = p.shards; },
      [&] { return shards >= shards_before_stop && polls++ >= 3; });
}

TEST(DatasetJob, TheSameContentOnAnyThreadsAndAfterAStop) {
  const TempDir dir;
  const GenerateOptions o = generate_options({"generate.transitions=9000"});
  const GenerateResult one = generate(o, dir / "one", 1), three = generate(o, dir / "three", 3);
  EXPECT_EQ(one.manifest.state, DatasetState::kDone);
  EXPECT_EQ(one.manifest.content_hash(), three.manifest.content_hash());
  EXPECT_GT(one.manifest.shards.size(), 3u);
  const GenerateResult stopped = generate(o, dir / "stopped", 2, false, 2);
  EXPECT_EQ(stopped.manifest.state, DatasetState::kRunning);
  EXPECT_EQ(stopped.manifest.shards.size(), 2u);
  const GenerateResult resumed = generate(o, dir / "stopped", 1, true);
  EXPECT_EQ(resumed.manifest.content_hash(), one.manifest.content_hash());
  EXPECT_TRUE(generate(o, dir / "stopped", 1, true).already_done);
  // At least what was asked for, and not an episode more than needed.
  EXPECT_GE(one.manifest.steps(), 9000);
  const DatasetReader reader(dir / "one");
  const ShardData last = reader.load(reader.shards() - 1);
  EXPECT_LT(one.manifest.steps() - last.values<std::int32_t>("episodes/length").back(), 9000);
}

// Before there is a dataset: the episodes that say how large a shard is to be.
TEST(DatasetJob, StopsInItsFirstEpisodes) {
  const TempDir dir;
  const GenerateOptions o = generate_options({"generate.transitions=9000"});
  const GenerateResult stopped = generate(o, dir / "d", 2, false, 0);
  EXPECT_EQ(stopped.manifest.state, DatasetState::kRunning);
  EXPECT_FALSE(has_manifest(dir / "d"));
  EXPECT_EQ(generate(o, dir / "d", 2, true).manifest.state, DatasetState::kDone);
}

TEST(DatasetJob, AnExactNumberOfEpisodes) {
  const TempDir dir;
  const GenerateResult r = generate(generate_options({"generate.episodes=333"}), dir / "d", 2);
  EXPECT_EQ(r.manifest.episodes(), 333);
  EXPECT_EQ(exit_code_of([&] { generate_options({}); }), 2);
  EXPECT_EQ(exit_code_of([&] {
              generate_options({"generate.episodes=3", "generate.transitions=4"});
            }),
            2);
}

TEST(Replay, EqualsWhatWasRecorded) {
  const TempDir dir;
  for (const char* env : {"CartPole-v1", "Pendulum-v1"}) {
    const std::string where = dir / env;
    const GenerateOptions o = generate_options(
        {std::string("env.id=") + env, "generate.episodes=150", "env.time_limit=40"});
    const GenerateResult r = generate(o, where, 2);
    ThreadPool pool(2);
    const ReplayReport report = replay_dataset(where, pool, [](std::int64_t) {});
    EXPECT_TRUE(report.equal) << report.field << " of episode " << report.episode;
    EXPECT_EQ(report.episodes, 150);
    EXPECT_EQ(report.steps, r.manifest.steps());
  }
}

// A dataset with one number changed before it was hashed and written: nothing but replay can tell.
class PlantedDifference : public ::testing::Test {
 protected:
  template <class T>
  ReplayReport plant(const std::string& column, std::size_t row, T value) {
    const TempDir dir;
    generate(generate_options({"generate.episodes=130"}), dir / "good", 1);
    const DatasetReader reader(dir / "good");
    Manifest manifest = reader.manifest();
    const std::vector<ShardInfo> shards = manifest.shards;
    manifest.shards.clear();
    manifest.state = DatasetState::kRunning;
    std::filesystem::create_directories(dir / "bad");
    for (std::size_t s = 0; s < shards.size(); ++s) {
      ShardData data = reader.load(s);
      if (s == 0) {
        data.values<T>(column)[row] = value;
        start = data.values<std::int64_t>("episodes/start")[3];
        length = data.values<std::int32_t>("episodes/length")[3];
      }
      manifest.shards.push_back(
          write_shard(dir / "bad", static_cast<std::int64_t>(s), manifest.spec, data));
    }
    finish_manifest(dir / "bad", manifest);
    ThreadPool pool(2);
    return replay_dataset(dir / "bad", pool, [](std::int64_t) {});
  }
  std::int64_t start = 0;
  std::int32_t length = 0;
};

TEST_F(PlantedDifference, AsItWasItReplays) {
  plant<float>("rewards", 0, 1.0f);  // what it is anyway
  const auto row = static_cast<std::size_t>(start + 2);
  EXPECT_TRUE(plant<float>("rewards", row, 1.0f).equal);
}

TEST_F(PlantedDifference, InANumberNamesEpisodeStepAndField) {
  plant<float>("rewards", 0, 1.0f);
  const auto row = static_cast<std::size_t>(start + 2);
  ReplayReport r = plant<float>("rewards", row, 0.5f);
  EXPECT_FALSE(r.equal);
  EXPECT_EQ(r.episode, 3);
  EXPECT_EQ(r.step, 2);
  EXPECT_EQ(r.field, "rewards");
  EXPECT_EQ(r.recorded, "0.5");
  EXPECT_EQ(r.replayed, "1");
  EXPECT_EQ(r.shard, shard_file_name(0));
  r = plant<float>("observations", row * 4 + 3, 0.25f);
  EXPECT_EQ(r.episode, 3);
  EXPECT_EQ(r.step, 2);
  EXPECT_EQ(r.field, "observations[3]");
  r = plant<float>("episodes/return", 5, -1.0f);
  EXPECT_EQ(r.episode, 5);
  EXPECT_EQ(r.field, "episodes/return");
  r = plant<std::uint8_t>("episodes/outcome", 4, 0);
  EXPECT_EQ(r.episode, 4);
  EXPECT_EQ(r.field, "episodes/outcome");
}

// A changed action shows in the observation after it.
TEST_F(PlantedDifference, InAnActionShowsOneStepLater) {
  plant<float>("rewards", 0, 1.0f);
  ASSERT_GT(length, 4);
  const auto row = static_cast<std::size_t>(start + 1);
  ReplayReport r = plant<std::int8_t>("actions", row, 0);
  if (r.equal) r = plant<std::int8_t>("actions", row, 1);
  EXPECT_FALSE(r.equal);
  EXPECT_EQ(r.episode, 3);
  EXPECT_EQ(r.step, 2);
  EXPECT_EQ(r.field.substr(0, 12), "observations");
}

TEST(Replay, WhatIsNoDatasetOrUnknownIsRefused) {
  const TempDir dir;
  ThreadPool pool(1);
  EXPECT_EQ(exit_code_of([&] { replay_dataset(dir / "absent", pool, [](std::int64_t) {}); }), 3);
  generate(generate_options({"generate.episodes=3"}), dir / "d", 1);
  Manifest manifest = read_manifest(dir / "d");
  manifest.spec.env_id = "Nothing-v0";
  write_manifest(dir / "d", manifest);
  std::string message;
  EXPECT_EQ(exit_code_of([&] { replay_dataset(dir / "d", pool, [](std::int64_t) {}); }, &message),
            3);
  EXPECT_NE(message.find("Nothing-v0"), std::string::npos) << message;
}

}  // namespace
}  // namespace rollmill
