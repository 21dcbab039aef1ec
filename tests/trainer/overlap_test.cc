// ppo.overlap: rollouts of weights one update old, corrected. Nothing depends on who is faster.
#include <gtest/gtest.h>

#include <cmath>

#include "core/rng/rng.h"
#include "rollout/collector.h"
#include "rollout/column_kernels.h"
#include "tests/support/counter_env.h"
#include "tests/trainer/resume.h"
#include "tests/trainer/small_ppo.h"

namespace rollmill {
namespace {

TrainOptions options(const char* env) {
  TrainOptions o = testing::small_ppo(env);
  o.threads = 2;
  o.ppo.overlap = true;
  return o;
}

double metric(const UpdateReport& report, const std::string& name) {
  for (const auto& m : report.metrics) {
    if (m.name == name) return m.value;
  }
  ADD_FAILURE() << "no metric " << name;
  return 0;
}

TEST(VTrace, WithoutAnOlderPolicyItIsGae) {
  Rng rng(3, Purpose::kTest, 0, 0, 0);
  for (int k = 0; k < 1000; ++k) {
    const float r = rng.normal(), v = rng.normal(), next = rng.normal(), final = rng.normal(),
                carry = rng.normal();
    for (const std::uint8_t end :
         {std::uint8_t{kRunning}, std::uint8_t{kTerminated}, std::uint8_t{kTruncated}}) {
      const float gae = gae_element(end, r, v, next, final, 0.97f, 0.9f, carry);
      EXPECT_EQ(vtrace_element(end, r, v, next, final, 0.97f, 0.9f, 1.0f, carry), gae);
      EXPECT_EQ(vtrace_element(end, r, v, next, final, 0.97f, 0.9f, 7.0f, carry), gae);  // cut off
    }
  }
}

// Against the definition (Espeholt et al. 2018, equation 1), written as a double sum in float64; lambda scales the traces.
TEST(VTrace, IsTheDefinition) {
  constexpr int kSteps = 12;
  const EnvSpec spec = describe<testing::DiscreteEnv>();
  const HostRollout rollout(spec, kSteps, 1, 1);
  const RolloutBuffer& b = rollout.buffer();
  std::vector<float> ratio(static_cast<std::size_t>(kSteps * b.stride));
  Rng rng(5, Purpose::kTest, 0, 0, 0);
  for (int t = 0; t < kSteps; ++t) {
    const std::int64_t at = t * b.stride;
    b.rewards[at] = rng.normal();
    b.values[at] = rng.normal();
    b.final_values[at] = rng.normal();
    b.ends[at] = kRunning;
    ratio[static_cast<std::size_t>(at)] = std::exp(0.5f * rng.normal());
  }
  b.values[kSteps * b.stride] = rng.normal();
  b.ends[4 * b.stride] = kTerminated;
  b.ends[8 * b.stride] = kTruncated;
  const double gamma = 0.95, lambda = 0.8;
  compute_vtrace(b, {0.95f, 0.8f}, ratio.data(), 0, 1);
  for (int s = 0; s < kSteps; ++s) {
    double sum = 0, product = 1;
    for (int t = s; t < kSteps; ++t) {
      const std::int64_t at = t * b.stride;
      const double rho = std::min(1.0, static_cast<double>(ratio[static_cast<std::size_t>(at)]));
      const double future = b.ends[at] == kRunning     ? b.values[at + b.stride]
                            : b.ends[at] == kTruncated ? b.final_values[at]
                                                       : 0.0f;
      sum += product * rho * (b.rewards[at] + gamma * future - b.values[at]);
      if (b.ends[at] != kRunning) break;
      product *= gamma * lambda * rho;
    }
    EXPECT_NEAR(b.advantages[s * b.stride], sum, 1e-5) << s;
    EXPECT_NEAR(b.returns[s * b.stride], sum + b.values[s * b.stride], 1e-5);
  }
}

// What a policy says of its own actions afterwards is what it said, bit for bit, and then V-trace is GAE.
TEST(Overlap, CorrectingNothingChangesNothing) {
  testing::for_each_space([](const char* name, auto env) {
    SCOPED_TRACE(name);
    using Env = decltype(env);
    for (const auto distribution :
         {RealDistribution::kGaussian, RealDistribution::kSquashed, RealDistribution::kBeta}) {
      ThreadPool pool(2);
      BatchConfig config;
      config.num_envs = 75;
      config.seed = 4;
      config.time_limit = 7;
      const auto batch = testing::test_entry<Env>().make_cpu(config, &pool);
      const EnvSpec& spec = batch->spec();
      PolicyChoices network{.hidden = {24}, .frame_stack = 2};
      network.distribution = distribution;
      PolicyWeights weights(shape_for(spec, network));
      initialize_weights(weights, 3, -0.4f);
      const MlpPolicy policy(spec, weights, 5, false);
      const HostRollout rollout(spec, 20, 75, 2), kept(spec, 20, 75, 2);
      HostCollector collector(*batch, policy, rollout.buffer(), pool);
      collector.reset();
      collector.collect({0.97f, 0.9f});
      collector.advance();
      collector.collect({0.97f, 0.9f});
      const RolloutBuffer& b = rollout.buffer();
      const auto copy = [&](const float* from, int slots) {
        return std::vector<float>(from, from + slots * b.stride);
      };
      const auto logprobs = copy(b.logprobs, 20), values = copy(b.values, 21),
                 advantages = copy(b.advantages, 20), returns = copy(b.returns, 20),
                 final_values = copy(b.final_values, 20);
      const Staleness stale = collector.correct({0.97f, 0.9f}, pool);
      EXPECT_EQ(copy(b.logprobs, 20), logprobs);
      EXPECT_EQ(copy(b.values, 21), values);
      EXPECT_EQ(copy(b.advantages, 20), advantages);
      EXPECT_EQ(copy(b.returns, 20), returns);
      EXPECT_EQ(copy(b.final_values, 20), final_values);
      EXPECT_EQ(stale.mean_ratio, 1);
      EXPECT_EQ(stale.kl, 0);
    }
  });
}

TEST(Overlap, RatiosStartAtOneAndStalenessIsReported) {
  for (const char* env : {"CartPole-v1", "Pendulum-v1", "Taxi-v3"}) {
    testing::Run run(options(env));
    const UpdateReport first = run->step();
    EXPECT_EQ(metric(first, "stale_kl"), 0);  // nothing came before
    for (int k = 0; k < 4; ++k) {
      const UpdateReport report = run->step();
      EXPECT_EQ(metric(report, "first_ratio_error"), 0);
      EXPECT_GT(metric(report, "stale_kl"), 0) << env;
      EXPECT_NEAR(metric(report, "stale_ratio"), 1, 0.2);
    }
  }
}

TEST(Overlap, ResumesBitForBit) {
  TrainOptions stacked = options("CartPole-v1");
  stacked.policy.frame_stack = 3;
  stacked.normalize_observations = true;
  testing::expect_resume_equals_no_interruption(stacked);
  TrainOptions masked = options("Taxi-v3");
  masked.ppo.normalize_rewards = true;
  testing::expect_resume_equals_no_interruption(masked);
}

TEST(Overlap, ThreadsChangeNothing) {
  TrainOptions o = options("Pendulum-v1");
  o.env.num_envs = 100;  // more than one block of a correction
  testing::expect_same_on_two_threads(o, 3);
}

TEST(Overlap, LearnsCartPole) {
  TrainOptions o = options("CartPole-v1");
  o.env.num_envs = 64;
  o.ppo.horizon = 32;
  o.ppo.minibatches = 4;
  o.ppo.gamma = 0.98f;
  o.ppo.gae_lambda = 0.8f;
  o.policy.hidden = {64, 64};
  o.total_steps = 64 * 32 * 100;
  testing::Run run(o);
  UpdateReport report;
  for (int k = 0; k < 100; ++k) report = run->step();
  EXPECT_GT(report.mean_return, 150);
}

}  // namespace
}  // namespace rollmill
