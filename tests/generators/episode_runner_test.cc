// An episode is a function of seed, number, policy and parameters alone.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>

#include "envs/cpu_entry.h"
#include "tests/core/io/temp_dir.h"
#include "tests/generators/episodes.h"
#include "tests/support/fragile_env.h"

namespace rollmill {
namespace {

using testing::Episode;
using testing::Job;
using testing::play;

TEST(EpisodeRunner, TheSameEpisodesOnAnyNumberOfThreads) {
  for (const char* env : {"CartPole-v1", "Pendulum-v1"}) {
    for (bool trained : {false, true}) {
      const Job j(env, 5, 700, trained, 45);
      const auto one = play(j.job, 1);
      ASSERT_EQ(one.size(), 700u);
      EXPECT_EQ(one.begin()->first, 5);
      EXPECT_EQ(one.rbegin()->first, 704);
      for (int threads : {2, 3, 8})
        EXPECT_EQ(play(j.job, threads), one) << env << " on " << threads << " threads";
    }
  }
}

TEST(EpisodeRunner, AnEpisodeAloneAndInAnyRangeIsTheSame) {
  for (bool trained : {false, true}) {
    const Job all("CartPole-v1", 0, 300, trained);
    const auto whole = play(all.job, 2);
    for (std::int64_t e : {0, 1, 15, 16, 17, 255, 299}) {
      const Job alone("CartPole-v1", e, 1, trained);
      EXPECT_EQ(play(alone.job, 3), (std::map<std::int64_t, Episode>{{e, whole.at(e)}}))
          << "episode " << e;
    }
    const Job range("CartPole-v1", 90, 33, trained);
    for (const auto& [e, episode] : play(range.job, 2))
      EXPECT_EQ(episode, whole.at(e)) << "episode " << e;
  }
}

// An environment without a time limit: its episodes are cut, and somebody is told long before.
TEST(EpisodeRunner, EndlessEpisodesAreSpokenOfAndCut) {
  const EnvEntry endless = cpu_entry<testing::Endless>();
  const RandomPolicy policy(endless.spec(), 1);
  EpisodeJob job;
  job.env = &endless;
  job.policy = &policy;
  job.count = 3;
  ThreadPool pool(2);
  const auto longest = [&] {
    std::atomic<std::int32_t> longest{0};
    run_episodes(job, false, pool,
                 [&](int, const EpisodeRows& rows) { longest = rows.summary.length; });
    return longest.load();
  };
  job.max_steps = 50'000;
  EXPECT_EQ(longest(), 50'000);
  EXPECT_FALSE(*job.warned);
  job.max_steps = 200'000;
  EXPECT_EQ(longest(), 200'000);
  EXPECT_TRUE(*job.warned);
}

// Against the batch itself, one environment, one episode: no lanes, windows or blocks.
TEST(EpisodeRunner, EqualsABatchOfOneStepByStep) {
  const Job j("CartPole-v1", 40, 12, true);
  for (const auto& [number, episode] : play(j.job, 2)) {
    BatchConfig config;
    config.seed = 9;
    config.environment_stride = 0;
    config.first_episode = static_cast<std::uint32_t>(number);
    const auto batch = j.job.env->make_cpu(config, nullptr);
    const HostRollout rollout(batch->spec(), 1, 1);
    const RolloutBuffer& b = rollout.buffer();
    batch->reset(b.observation_slot(0));
    std::vector<std::uint32_t> words;
    const auto add = [&](const void* p) {
      std::uint32_t word;
      std::memcpy(&word, p, 4);
      words.push_back(word);
    };
    do {
      ActRequest q;
      q.observations = b.observation_slot(0);
      q.batch = batch.get();
      q.stride = b.stride;
      q.keys = batch->episodes();
      q.end = 1;
      q.actions = b.actions;
      q.logprobs = b.logprobs;
      q.values = b.values;
      j.policy->act(q);
      for (int k = 0; k < 4; ++k) add(b.observation_slot(0) + k * b.stride);
      add(b.actions);
      batch->step(b.step_buffers(0));
      add(b.rewards);
      add(b.logprobs);
      add(b.values);
      std::memcpy(b.observation_slot(0), b.observation_slot(1),
                  static_cast<std::size_t>(4 * b.stride) * 4);
    } while (b.ends[0] == kRunning);
    EXPECT_EQ(episode.width, 8);
    EXPECT_EQ(episode.words, words) << "episode " << number;
    EXPECT_EQ(episode.summary.terminated, b.ends[0] == kTerminated);
    EXPECT_EQ(episode.summary.outcome, b.outcomes[0]);
    EXPECT_EQ(episode.summary.length, b.episode_lengths[0]);
    for (int k = 0; k < 4; ++k)
      EXPECT_EQ(episode.final_observation[static_cast<std::size_t>(k)],
                __builtin_bit_cast(std::uint32_t, b.final_observations[k * b.stride]));
  }
}

TEST(EpisodeRunner, SummariesAloneAreTheSame) {
  const Job j("Acrobot-v1", 0, 50, false, 60);
  const auto full = play(j.job, 2), brief = play(j.job, 2, /*record=*/false);
  ASSERT_EQ(brief.size(), 50u);
  for (const auto& [e, episode] : brief) {
    EXPECT_TRUE(episode.words.empty());
    EXPECT_EQ(episode.summary.episode_return, full.at(e).summary.episode_return);
    EXPECT_EQ(episode.summary.length, full.at(e).summary.length);
  }
}

TEST(EpisodeRunner, WhatCannotEndIsCutAndWhatCannotBeNumberedIsAnError) {
  Job endless("MountainCar-v0", 0, 3, false, 0);
  endless.job.max_steps = 500;
  for (const auto& [e, episode] : play(endless.job, 2)) {
    EXPECT_EQ(episode.summary.length, 500);
    EXPECT_EQ(episode.summary.outcome, 0);
    EXPECT_FALSE(episode.summary.terminated);
  }
  const Job far("CartPole-v1", 0xffffffff, 2, false);
  EXPECT_EQ(testing::exit_code_of([&] { play(far.job, 1); }), 2);
  const Job none("CartPole-v1", 0, 0, false);
  EXPECT_TRUE(play(none.job, 2).empty());
}

}  // namespace
}  // namespace rollmill
