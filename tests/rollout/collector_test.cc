// The collector: the same rollout on any number of threads, episodes and statistics against a naive recount, and
// bootstrapping at time limits.
#include "rollout/collector.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <tuple>

#include "core/base/thread_pool.h"
#include "envs/registry.h"
#include "rollout/rollout_fields.h"
#include "tests/rollout/acting.h"

namespace rollmill {
namespace {

struct Collected {
  Collected(const std::string& id, int envs, int horizon, int threads, int time_limit = -1)
      : pool(threads),
        batch(make(id, envs, time_limit)),
        weights(shape_for(batch->spec(), {24})),
        policy(batch->spec(), weights, 3, false),
        rollout(batch->spec(), horizon, envs),
        collector(*batch, policy, rollout.buffer(), pool) {
    testing::rough_weights(weights, true);
    collector.reset();
  }
  std::unique_ptr<EnvBatch> make(const std::string& id, int envs, int time_limit) {
    BatchConfig config;
    config.num_envs = envs;
    config.seed = 12;
    config.time_limit = time_limit;
    return find_env(id).make_cpu(config, &pool);
  }
  const RolloutBuffer& buffer() const { return rollout.buffer(); }

  ThreadPool pool;
  std::unique_ptr<EnvBatch> batch;
  PolicyWeights weights;
  MlpPolicy policy;
  HostRollout rollout;
  HostCollector collector;
};

constexpr AdvantageOptions kOptions{0.98f, 0.9f, 0.5f};

TEST(Collector, TheSameRolloutOnAnyNumberOfThreads) {
  for (const auto& [id, envs, threads] : {std::tuple{"CartPole-v1", 203, 2},
                                          {"CartPole-v1", 203, 3},
                                          {"CartPole-v1", 203, 8},
                                          {"CartPole-v1", 5, 2},
                                          {"CartPole-v1", 5, 3},
                                          {"CartPole-v1", 17, 3},
                                          {"Pendulum-v1", 203, 2},
                                          {"Pendulum-v1", 203, 3},
                                          {"Pendulum-v1", 203, 8},
                                          {"Pendulum-v1", 5, 2}}) {
    Collected many(id, envs, 40, threads, 30);
    Collected again(id, envs, 40, 1, 30);
    for (int rollout = 0; rollout < 2; ++rollout) {
      for (Collected* c : {&again, &many}) {
        if (rollout > 0) c->collector.advance();
        c->collector.collect(kOptions);
      }
      RolloutBuffer a = again.buffer(), b = many.buffer();
      std::vector<std::pair<const void*, std::size_t>> fields;
      visit_rollout_fields(a, [&](auto*& p, std::int64_t n) {
        fields.emplace_back(p, static_cast<std::size_t>(n) * sizeof(*p));
      });
      std::size_t k = 0;
      visit_rollout_fields(b, [&](auto*& p, std::int64_t) {
        EXPECT_EQ(std::memcmp(p, fields[k].first, fields[k].second), 0)
            << envs << " of " << id << ", " << threads << " threads, field " << k;
        ++k;
      });
      const auto m = again.collector.observation_moments(),
                 n = many.collector.observation_moments();
      EXPECT_EQ(std::memcmp(m.data(), n.data(), m.size() * sizeof(Moments)), 0);
    }
  }
}

TEST(Collector, FinishedEpisodesEqualARecount) {
  Collected c("CartPole-v1", 37, 64, 2);
  std::vector<double> sum(37);
  std::vector<int> length(37);
  std::size_t episodes = 0;
  for (int rollout = 0; rollout < 3; ++rollout) {  // episodes go on from one rollout to the next
    if (rollout > 0) c.collector.advance();
    c.collector.collect(kOptions);
    const auto records = c.collector.finished_episodes();
    std::size_t next = 0;
    for (int t = 0; t < 64; ++t) {
      for (std::size_t i = 0; i < 37; ++i) {
        const std::int64_t at = t * c.buffer().stride + static_cast<std::int64_t>(i);
        sum[i] += c.buffer().rewards[at];
        ++length[i];
        if (c.buffer().ends[at] == kRunning) continue;
        ASSERT_LT(next, records.size());
        EXPECT_EQ(records[next].episode_return, sum[i]);  // whole numbers: exact
        EXPECT_EQ(records[next].length, length[i]);
        EXPECT_EQ(records[next].outcome, c.buffer().outcomes[at]);
        ++next;
        sum[i] = length[i] = 0;
      }
    }
    EXPECT_EQ(next, records.size());
    episodes += next;
  }
  EXPECT_GT(episodes, 100u);
}

// Naive float64 sums lose at most 1e-13 of values of size one here.
TEST(Collector, MomentsEqualNaiveSums) {
  Collected c("Acrobot-v1", 50, 20, 3);
  c.collector.collect(kOptions);
  const auto moments = c.collector.observation_moments();
  ASSERT_EQ(moments.size(), 6u);
  for (int k = 0; k < 6; ++k) {
    long double sum = 0, square = 0;
    for (int t = 0; t < 20; ++t) {
      for (int i = 0; i < 50; ++i) sum += c.buffer().observation_slot(t)[k * c.buffer().stride + i];
    }
    const long double mean = sum / 1000;
    for (int t = 0; t < 20; ++t) {
      for (int i = 0; i < 50; ++i) {
        const long double d = c.buffer().observation_slot(t)[k * c.buffer().stride + i] - mean;
        square += d * d;
      }
    }
    const Moments& m = moments[static_cast<std::size_t>(k)];
    EXPECT_EQ(m.count, 1000);
    EXPECT_NEAR(m.mean, static_cast<double>(mean), 1e-13);
    EXPECT_NEAR(m.variance(), static_cast<double>(square / 1000), 1e-12);
  }
}

// With a time limit of 7 most episodes are truncated, some fall before: each kind of end bootstraps from its own value.
TEST(Collector, TimeLimitsBootstrapFromTheFinalObservation) {
  Collected c("CartPole-v1", 60, 32, 2, 9);
  c.collector.collect(kOptions);
  const RolloutBuffer& b = c.buffer();
  int truncated = 0, terminated = 0;
  for (int i = 0; i < 60; ++i) {
    double carry = 0;
    for (int t = 31; t >= 0; --t) {
      const std::int64_t at = t * b.stride + i;
      double future = b.values[at + b.stride];
      if (b.ends[at] == kTerminated) future = 0, carry = 0, ++terminated;
      if (b.ends[at] == kTruncated) {
        ++truncated;
        EXPECT_EQ(b.episode_lengths[at], 9);
        float observation[4 * 16], value[16];
        for (int k = 0; k < 4; ++k)
          observation[k * 16] = b.final_observations[(t * 4 + k) * b.stride + i];
        c.policy.value({observation, 16}, 0, 1, value);
        EXPECT_EQ(b.final_values[at], value[0]);
        // It is not the next episode's first observation.
        EXPECT_NE(observation[0], b.observation_slot(t + 1)[i]);
        future = value[0], carry = 0;
      }
      const double delta = 0.5 * b.rewards[at] + 0.98 * future - b.values[at];
      carry = delta + 0.98 * 0.9 * carry;
      // float32 against float64: a few roundings of values below 20, summed over 1 / (1 - 0.88) steps.
      EXPECT_NEAR(b.advantages[at], carry, 1e-4);
    }
  }
  EXPECT_GT(truncated, 50);
  EXPECT_GT(terminated, 5);
}

TEST(Collector, AdvanceContinuesWhereTheRolloutEnded) {
  // Two rollouts of 8 steps equal one of 16.
  Collected two("Pendulum-v1", 21, 8, 2), one("Pendulum-v1", 21, 16, 2);
  one.collector.collect(kOptions);
  two.collector.collect(kOptions);
  const auto same = [&](int offset) {
    for (int t = 0; t < 8; ++t) {
      for (int i = 0; i < 21; ++i) {
        ASSERT_EQ(two.buffer().rewards[t * two.buffer().stride + i],
                  one.buffer().rewards[(t + offset) * one.buffer().stride + i]);
        ASSERT_EQ(two.buffer().logprobs[t * two.buffer().stride + i],
                  one.buffer().logprobs[(t + offset) * one.buffer().stride + i]);
      }
    }
  };
  same(0);
  two.collector.advance();
  two.collector.collect(kOptions);
  same(8);
}

// Both the environments and the policy take some of it.
TEST(Collector, KnowsTheEnvironmentsPartOfTheTime) {
  for (int threads : {1, 2}) {
    Collected c("CartPole-v1", 256, 64, threads);
    c.collector.collect(kOptions);
    EXPECT_GT(c.collector.environment_share(), 0.0);
    EXPECT_LT(c.collector.environment_share(), 1.0);
  }
}

}  // namespace
}  // namespace rollmill
