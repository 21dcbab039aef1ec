// The evaluation report: whole episodes, the same on any number of threads, every field where formats.md says.
#include "evaluation/protocol.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <nlohmann/json.hpp>

#include "envs/cpu_entry.h"
#include "tests/generators/episodes.h"
#include "tests/support/fragile_env.h"

namespace rollmill {
namespace {

using testing::Job;

EvaluationReport run(const Job& j, int threads) {
  ThreadPool pool(threads);
  return evaluate(j.job, false, pool);
}

TEST(Evaluate, CountsWholeEpisodes) {
  const Job j("CartPole-v1", 0, 250, true, 60);
  const EvaluationReport r = run(j, 2);
  const auto episodes = testing::play(j.job, 1);
  ASSERT_EQ(r.returns.size(), 250u);
  std::vector<std::int64_t> outcomes(r.outcome_names.size());
  double sum = 0, steps = 0;
  for (const auto& [e, episode] : episodes) {
    EXPECT_EQ(r.returns[static_cast<std::size_t>(e)], episode.summary.episode_return);
    EXPECT_EQ(r.lengths[static_cast<std::size_t>(e)], episode.summary.length);
    EXPECT_EQ(episode.summary.episode_return,
              static_cast<float>(episode.summary.length));  // CartPole: one a step
    ++outcomes.at(episode.summary.outcome);
    sum += episode.summary.episode_return;
    steps += episode.summary.length;
  }
  EXPECT_EQ(r.outcomes, outcomes);
  EXPECT_NEAR(r.mean_return, sum / 250, 1e-9);
  EXPECT_NEAR(r.mean_length, steps / 250, 1e-9);
  EXPECT_LE(r.mean_interval.value().low, r.mean_return);
  EXPECT_GE(r.mean_interval.value().high, r.mean_return);
  EXPECT_EQ(r.env_id, "CartPole-v1");
  EXPECT_EQ(r.policy_hash, j.policy->hash());
  EXPECT_EQ(r.outcome_names.at(0), "time_limit");
}

TEST(Evaluate, TheSameReportOnAnyNumberOfThreads) {
  const Job j("Pendulum-v1", 0, 90, true, 50);
  EvaluationReport one = run(j, 1);
  one.seconds = 0;
  for (int threads : {2, 5}) {
    EvaluationReport many = run(j, threads);
    many.seconds = 0;
    EXPECT_EQ(format_json(many), format_json(one));
    EXPECT_EQ(format_text(many), format_text(one));
  }
}

TEST(Report, JsonHasEveryField) {
  const Job j("CartPole-v1", 0, 40, true, 60);
  const EvaluationReport r = run(j, 2);
  const auto json = nlohmann::json::parse(format_json(r));
  EXPECT_EQ(json.at("env"), "CartPole-v1");
  EXPECT_EQ(json.at("policy"), r.policy_id);
  EXPECT_EQ(json.at("policy_hash"), r.policy_hash);
  EXPECT_EQ(json.at("seed"), 9);
  EXPECT_EQ(json.at("greedy"), false);
  EXPECT_EQ(json.at("episodes"), 40);
  EXPECT_EQ(json.at("mean_return"), r.mean_return);
  EXPECT_EQ(json.at("mean_return_95").at(0), r.mean_interval.value().low);
  EXPECT_EQ(json.at("mean_return_95").at(1), r.mean_interval.value().high);
  EXPECT_EQ(json.at("median_return"), r.median_return);
  EXPECT_EQ(json.at("iqm_return"), r.iqm_return);
  EXPECT_EQ(json.at("std_return"), r.std_return);
  EXPECT_EQ(json.at("mean_length"), r.mean_length);
  EXPECT_EQ(json.at("min_length"), *std::min_element(r.lengths.begin(), r.lengths.end()));
  EXPECT_EQ(json.at("max_length"), *std::max_element(r.lengths.begin(), r.lengths.end()));
  std::int64_t ends = 0;
  for (const auto& [name, count] : json.at("ends").items()) ends += count.get<std::int64_t>();
  EXPECT_EQ(ends, 40);
  EXPECT_EQ(json.at("ends").size(), r.outcome_names.size());
  EXPECT_GT(json.at("seconds").get<double>(), 0);
  const std::string text = format_text(r);
  EXPECT_NE(text.find("40 episodes of CartPole-v1"), std::string::npos) << text;
  EXPECT_NE(text.find("95 % interval"), std::string::npos) << text;
}

EvaluationReport random_episodes(const EnvEntry& entry, int count, int threads) {
  const RandomPolicy policy(entry.spec(), 3);
  EpisodeJob job;
  job.env = &entry;
  job.policy = &policy;
  job.seed = 3;
  job.count = count;
  ThreadPool pool(threads);
  return evaluate(job, std::nullopt, pool);
}

// Where nothing limits an episode, the runner's own bound is no time limit: one that is given is.
TEST(Evaluate, EpisodesThatItCutsAreNoTimeLimit) {
  const EnvEntry endless = cpu_entry<testing::Endless>();
  const RandomPolicy policy(endless.spec(), 3);
  EpisodeJob job;
  job.env = &endless;
  job.policy = &policy;
  job.count = 5;
  job.max_steps = 100;
  ThreadPool pool(1);
  const auto ends = [&] {
    return nlohmann::json::parse(format_json(evaluate(job, std::nullopt, pool))).at("ends");
  };
  EXPECT_EQ(ends(), nlohmann::json({{"time_limit", 0}, {"cut", 5}}));
  job.time_limit = 100;
  EXPECT_EQ(ends(), nlohmann::json({{"time_limit", 5}}));
}

// One return or two tell nothing about how far off their mean is.
TEST(Report, HasNoIntervalOfOneOrTwoEpisodes) {
  for (const int count : {1, 2, 3}) {
    const EvaluationReport r = random_episodes(find_env("CartPole-v1"), count, 1);
    EXPECT_EQ(nlohmann::json::parse(format_json(r)).contains("mean_return_95"), count == 3);
    EXPECT_EQ(format_text(r).find("no interval") == std::string::npos, count == 3);
  }
}

TEST(Report, SaysHowATrainedPolicyActsAndWhoElseDoes) {
  const Job j("CartPole-v1", 0, 10, true, 60);
  ThreadPool pool(1);
  const auto first_line = [](const EvaluationReport& r) {
    const std::string text = format_text(r);
    return text.substr(0, text.find(", seed"));
  };
  EXPECT_EQ(first_line(evaluate(j.job, true, pool)), "10 episodes of CartPole-v1 (greedy");
  EXPECT_EQ(first_line(evaluate(j.job, false, pool)), "10 episodes of CartPole-v1 (sampled");
  const EvaluationReport r = random_episodes(find_env("CartPole-v1"), 10, 1);
  EXPECT_EQ(first_line(r), "10 episodes of CartPole-v1 (random");
  EXPECT_FALSE(nlohmann::json::parse(format_json(r)).contains("greedy"));
}

// Its 9th step is the first whose observation is 1 / 0, and so are all after it: what comes before must not be blamed.
TEST(Evaluate, SaysWhichObservationsWereNotFinite) {
  const EnvEntry blinding = cpu_entry<testing::Blinding>();
  for (const int threads : {1, 3}) {
    const EvaluationReport r = random_episodes(blinding, 40, threads);
    EXPECT_EQ(r.broken, 0);
    EXPECT_EQ(r.blind, 40);
    EXPECT_EQ(r.first_blind, "observation 'nearness' of episode 0 at step 9");
    EXPECT_NE(not_finite_text(r).find("40 of 40 episodes showed"), std::string::npos);
    EXPECT_EQ(nlohmann::json::parse(format_json(r)).at("blind").at("episodes"), 40);
  }
}

TEST(Evaluate, CountsEpisodesThatBroke) {
  const EvaluationReport r = random_episodes(cpu_entry<testing::Fragile>(), 40, 2);
  EXPECT_EQ(r.broken, 40);
  EXPECT_EQ(r.blind, 0);  // what is not finite ends its episode before it is shown
  EXPECT_NE(not_finite_text(r).find("40 of 40 episodes ended"), std::string::npos);
  EXPECT_EQ(not_finite_text(random_episodes(find_env("CartPole-v1"), 40, 2)), "");
}

}  // namespace
}  // namespace rollmill
