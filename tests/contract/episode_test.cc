// How episodes end and follow one another, for every registered environment: autoreset, time
// limits, statistics.
#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "envs/env.h"
#include "tests/contract/fixture.h"

namespace rollmill {
namespace {

using test::Runner;

class EpisodeTest : public test::ContractTest {};
INSTANTIATE_TEST_SUITE_P(Envs, EpisodeTest, testing::ValuesIn(env_registry()), test::env_name);

// Same-step autoreset, seen from twins: one without a time limit plays the ended episode on, so its
// observation is the ended one's last; one whose first episode is number 1 starts with what the
// autoreset must show, and plays as the next episode does.
TEST_P(EpisodeTest, AutoresetKeepsTheLastAndShowsTheFirstObservation) {
  constexpr int kLimit = 6;
  BatchConfig next_config = config(300, 0);
  next_config.first_episode = 1;
  Runner limited(entry(), config(300, kLimit)), endless(entry(), config(300, 0)),
      next(entry(), next_config);
  const auto equal = [](const Runner& a, bool final_a, const Runner& b, int i) {
    for (int k = 0; k < a.observation_size(); ++k) {
      const float x = final_a ? a.final_observation(k, i) : a.observation(k, i);
      if (math::to_bits(x) != math::to_bits(b.observation(k, i))) return false;
    }
    return true;
  };
  for (int t = 0; t < kLimit; ++t) {
    limited.step();
    endless.step();
  }
  std::vector<int> truncated;
  for (int i = 0; i < limited.n(); ++i) {
    if (limited.ends[i] == kTruncated && limited.lengths[i] == kLimit) truncated.push_back(i);
  }
  ASSERT_GE(truncated.size(), 100u);
  for (const int i : truncated) {
    ASSERT_EQ(endless.ends[i], kRunning);
    EXPECT_TRUE(equal(limited, true, endless, i)) << i;
    EXPECT_TRUE(equal(limited, false, next, i)) << i;
    EXPECT_FALSE(equal(limited, true, next, i)) << i;
    EXPECT_EQ(limited.batch().episodes().episode[i], 1u);
    EXPECT_EQ(limited.batch().episodes().step[i], 0u);
  }
  for (int t = 0; t < kLimit - 1; ++t) {
    limited.step();
    next.step();
    for (const int i : truncated) {
      if (next.batch().episodes().episode[i] == 1) {
        EXPECT_TRUE(equal(limited, false, next, i)) << i;
      }
    }
  }
}

// Where an episode terminates by itself, with the limit on that very step it still terminates.
TEST_P(EpisodeTest, TerminationBeatsTruncation) {
  Runner endless(entry(), config(200, 0));
  std::map<int, int> ended;  // environment -> length of its first episode
  for (int t = 1; t <= 300; ++t) {
    endless.step();
    for (int i = 0; i < endless.n(); ++i) {
      ASSERT_NE(endless.ends[i], kTruncated);
      if (endless.ends[i] == kTerminated && ended.count(i) == 0) ended[i] = t;
    }
  }
  if (ended.empty()) GTEST_SKIP() << "random actions do not end it; see tests/oracle";
  int checked = 0;
  for (const auto& [environment, length] : ended) {
    if (++checked > 20) break;
    BatchConfig c = config(1, length);
    c.first_environment = static_cast<std::uint32_t>(environment);
    Runner limited(entry(), c);
    for (int t = 0; t < length; ++t) limited.step();
    EXPECT_EQ(limited.ends[0], kTerminated) << environment;
    EXPECT_NE(limited.outcomes[0], kOutcomeTimeLimit) << environment;
    EXPECT_EQ(limited.lengths[0], length) << environment;
  }
}

// Over the environment's own limit and a short one: truncation happens at the limit and nowhere
// else, and the statistics of ended episodes are the sums of what the steps reported (float32, in
// order).
TEST_P(EpisodeTest, TimeLimitAndStatisticsAreExact) {
  for (const int limit : {-1, 7}) {
    Runner runner(entry(), config(40, limit));
    const int expected = limit < 0 ? runner.spec().time_limit : limit;
    std::vector<float> sums(40, 0.0f);
    std::vector<int> steps(40, 0);
    int truncated = 0, wrong = 0;
    for (int t = 0; t < 2 * expected + 5; ++t) {
      runner.step();
      for (int i = 0; i < 40; ++i) {
        sums[i] += runner.rewards[i];
        ++steps[i];
        const int end = runner.ends[i];
        wrong += end == kRunning && steps[i] >= expected;
        if (end == kRunning) continue;
        wrong += end == kTruncated && steps[i] != expected;
        wrong += (end == kTruncated) != (runner.outcomes[i] == kOutcomeTimeLimit);
        wrong += runner.lengths[i] != steps[i];
        wrong += math::to_bits(runner.returns[i]) != math::to_bits(sums[i]);
        truncated += end == kTruncated;
        sums[i] = 0.0f;
        steps[i] = 0;
      }
    }
    EXPECT_EQ(wrong, 0);
    if (limit > 0) {
      EXPECT_GE(truncated, 20);
    }
  }
}

TEST_P(EpisodeTest, EpisodeNumbersAdvanceByTheirStride) {
  BatchConfig c = config(64, 3);
  c.first_episode = 5;
  c.episode_offset = 2;
  c.episode_stride = 11;
  Runner runner(entry(), c);
  std::vector<std::uint32_t> expected;
  for (std::uint32_t i = 0; i < 64; ++i) expected.push_back(5 + 2 * i);
  for (int t = 0; t < 10; ++t) {
    runner.step();
    for (int i = 0; i < 64; ++i) {
      if (runner.ends[i] != kRunning) expected[i] += 11;
      EXPECT_EQ(runner.batch().episodes().episode[i], expected[i]);
    }
  }
}

}  // namespace
}  // namespace rollmill
