// The episode that is looked at is the episode that jobs play.
#include "generators/solo_episode.h"

#include <gtest/gtest.h>

#include "core/base/thread_pool.h"
#include "generators/episode_runner.h"
#include "rollout/mlp/mlp_policy.h"

namespace rollmill {
namespace {

constexpr int kLimit = 2000;  // steps, for environments that have no limit of their own

SoloEpisode start(const EnvEntry& entry, std::uint32_t episode) {
  BatchConfig config;
  config.seed = 11;
  config.first_episode = episode;
  const int own = entry.spec().time_limit;
  config.time_limit = own == 0 ? kLimit : -1;
  return SoloEpisode(entry, config);
}

TEST(SoloEpisode, IsTheEpisodeThatJobsPlay) {
  ThreadPool pool(2);
  for (const EnvEntry& entry : env_registry()) {
    const RandomPolicy policy(entry.spec(), 5);
    EpisodeJob job;
    job.env = &entry;
    job.seed = 11;
    job.policy = &policy;
    job.first = 3;
    job.count = 4;
    job.time_limit = entry.spec().time_limit == 0 ? kLimit : -1;
    std::vector<EpisodeSummary> expected(4);
    run_episodes(job, false, pool, [&](int, const EpisodeRows& rows) {
      expected[static_cast<std::size_t>(rows.episode - 3)] = rows.summary;
    });
    for (std::uint32_t e = 0; e < 4; ++e) {
      SoloEpisode episode = start(entry, 3 + e);
      float sum = 0;  // as the runtime adds
      while (!episode.ended()) {
        EXPECT_EQ(episode.outcome(), "");
        episode.step(policy);
        sum += episode.reward();
      }
      EXPECT_EQ(episode.steps(), expected[e].length) << entry.id;
      EXPECT_EQ(sum, expected[e].episode_return) << entry.id;
      EXPECT_EQ(episode.outcome(), outcome_name(entry.spec(), expected[e].outcome)) << entry.id;
    }
  }
}

// A policy that stacks frames: whole windows of a job's block, or step by step with a jump back in between.
TEST(SoloEpisode, KeepsTheFramesOfAStack) {
  ThreadPool pool(2);
  for (const char* id : {"CartPole-v1", "Rollmill/Cups-v0"}) {
    const EnvEntry& entry = find_env(id);
    PolicyWeights weights(
        shape_for(entry.spec(), {20}, 40));  // more than a block's window of steps
    initialize_weights(weights, 3, 0.0f);
    for (float& w : weights.params) w *= 3.0f;  // far from uniform: frames matter
    const MlpPolicy policy(entry.spec(), weights, 5, false);
    EpisodeJob job;
    job.env = &entry;
    job.seed = 11;
    job.policy = &policy;
    job.count = 12;
    std::vector<EpisodeSummary> expected(12);
    run_episodes(job, false, pool, [&](int, const EpisodeRows& rows) {
      expected[static_cast<std::size_t>(rows.episode)] = rows.summary;
    });
    for (std::uint32_t e = 0; e < 12; ++e) {
      BatchConfig config;
      config.seed = 11;
      config.first_episode = e;
      SoloEpisode episode(entry, config, &policy);
      const auto at_start = episode.save();
      std::vector<SoloEpisode::Snapshot> past;
      while (!episode.ended()) {
        past.push_back(episode.save());
        episode.step(policy);
      }
      EXPECT_EQ(episode.steps(), expected[e].length) << id;
      EXPECT_EQ(static_cast<float>(episode.episode_return()), expected[e].episode_return) << id;
      episode.load(at_start);
      if (past.size() > 5) episode.load(past[5]);
      while (!episode.ended()) episode.step(policy);
      EXPECT_EQ(episode.steps(), expected[e].length) << id;
    }
  }
}

// Going back and acting alike gives the same future, acting otherwise may not; counts and returns go back too.
TEST(SoloEpisode, LoadsWhatItSaved) {
  for (const EnvEntry& entry : env_registry()) {
    const RandomPolicy policy(entry.spec(), 6);
    SoloEpisode episode = start(entry, 0);
    std::vector<SoloEpisode::Snapshot> past = {episode.save()};
    while (!episode.ended() && past.size() < 50) {
      episode.step(policy);
      past.push_back(episode.save());
    }
    for (std::size_t k = past.size(); k-- > 0;) {
      episode.load(past[k]);
      EXPECT_EQ(episode.steps(), static_cast<std::int64_t>(k));
      const auto again = episode.save();
      EXPECT_EQ(again.words, past[k].words) << entry.id;
      EXPECT_EQ(again.episode_return, past[k].episode_return);
      EXPECT_EQ(again.end, past[k].end);
      if (k + 1 == past.size()) continue;
      episode.step(policy);
      EXPECT_EQ(episode.save().words, past[k + 1].words) << entry.id << " step " << k;
    }
  }
}

}  // namespace
}  // namespace rollmill
