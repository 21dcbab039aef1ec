// Skipped updates and warnings.
#include "trainer/guards.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/error.h"
#include "envs/cpu_entry.h"
#include "tests/core/io/temp_dir.h"
#include "tests/support/fragile_env.h"
#include "tests/trainer/scene.h"
#include "tests/trainer/small_ppo.h"
#include "trainer/may_step.h"
#include "trainer/train_job.h"

namespace rollmill {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

TEST(MayStep, CountsWhatIsNotFiniteAndStopsAfterTooManyInARow) {
  OptimizerState state;
  EXPECT_TRUE(may_step(1.0, -2.0, 2, "policy", state));
  EXPECT_FALSE(may_step(kNaN, 0.0, 2, "policy", state));
  EXPECT_FALSE(may_step(1.0, std::numeric_limits<double>::infinity(), 2, "policy", state));
  EXPECT_EQ(state.skipped, 2);
  EXPECT_TRUE(may_step(0.0, 0.0, 2, "policy", state));
  EXPECT_EQ(state.skipped, 0);
  for (int k = 0; k < 2; ++k) EXPECT_FALSE(may_step(kNaN, 0.0, 2, "policy", state));
  try {
    may_step(kNaN, 0.0, 2, "policy", state);
    FAIL() << "the third in a row was let through";
  } catch (const Error& e) {
    EXPECT_EQ(static_cast<int>(e.code()), 6);
    EXPECT_NE(std::string(e.what()).find("3 times in a row"), std::string::npos) << e.what();
  }
}

// One poisoned sample: its minibatch changes nothing, the others do, and the numbers reported are of those.
TEST(SkippedUpdates, LeaveWeightsAndReportsFinite) {
  testing::Scene s(true, {8}, 16, 8);
  s.options.epochs = 1;
  s.options.minibatches = 4;
  s.options.normalize_advantages = false;
  s.rollout.buffer().advantages[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(first_not_finite(s.rollout.buffer()), "advantage of environment 5 at step 0 of the rollout");
  const UpdateStats stats = s.learner()->update(s.rollout.buffer(), 0, 1e-3);
  EXPECT_EQ(stats.skipped, 1);
  EXPECT_EQ(s.optimizer.step, 3);
  for (const double x : {stats.policy_loss, stats.value_loss, stats.grad_norm, stats.approx_kl})
    EXPECT_TRUE(std::isfinite(x));
  for (const float w : s.weights.params) ASSERT_TRUE(std::isfinite(w));
  // Every minibatch poisoned, for longer than is allowed.
  const RolloutBuffer& b = s.rollout.buffer();
  std::fill(b.advantages, b.advantages + b.horizon * b.stride, std::numeric_limits<float>::quiet_NaN());
  s.options.epochs = 3;
  EXPECT_THROW(s.learner()->update(s.rollout.buffer(), 1, 1e-3), Error);
}

// What an environment shows, not the learning rate, is to blame: the run says which number of which environment.
TEST(ObservationsThatAreNotFinite, AreNamedByTheRunTheyEnd) {
  static const EnvEntry entries[] = {cpu_entry<testing::Blinding>()};
  register_envs(entries, 1, "guards_test");
  const testing::TempDir dir;
  for (const char* algorithm : {"ppo", "normalised", "dqn"}) {
    TrainJob job;
    job.options = testing::small_ppo("Blinding-v0");
    job.options.env.num_envs = 16;
    job.options.normalize_observations = algorithm == std::string("normalised");
    job.options.max_skipped = job.options.ppo.max_skipped = 3;
    if (algorithm == std::string("dqn")) {
      job.options.algorithm = "dqn";
      job.options.dqn.replay.learning_starts = 500;
    }
    job.out_dir = dir / algorithm;
    job.stop = [] { return StopRequest::kNone; };
    job.on_update = [](const MetricsRecord&) {};
    const auto group = make_process_group(LaunchInfo{}, false);
    std::string message;
    EXPECT_EQ(testing::exit_code_of([&] { run_train_job(job, *group); }, &message), 6) << algorithm;
    EXPECT_NE(message.find("observation 'nearness' of environment 0"), message.npos) << message;
    EXPECT_NE(message.find("though no state is"), message.npos) << message;
  }
}

MetricsRecord metrics(double entropy, double kl, double explained, double mean_return) {
  MetricsRecord m;
  m.add("return_mean", mean_return).add("entropy", entropy).add("approx_kl", kl);
  m.add("clip_fraction", 0.1).add("explained_variance", explained);
  return m;
}

TEST(TrainingWatch, WarnsOnceOfEachSymptomAndNotOfSuccess) {
  EnvSpec spec;
  spec.solved_at = 100;
  TrainingWatch solved(spec), collapsed(spec), exploding(spec), dead(spec), fine(spec), rising(spec);
  int warned[6] = {};
  for (int u = 0; u < 60; ++u) {
    const double entropy = u < 5 ? 0.6 : 1e-4;
    warned[0] += static_cast<int>(solved.observe(metrics(entropy, 0.01, -0.4, 120)).size());
    warned[1] += static_cast<int>(collapsed.observe(metrics(entropy, 0.01, 0.9, 20)).size());
    warned[2] += static_cast<int>(exploding.observe(metrics(0.6, u > 7 ? 2.0 : 0.1, 0.9, 20)).size());
    warned[3] += static_cast<int>(dead.observe(metrics(0.6, 0.01, -0.4, 20)).size());
    warned[4] += static_cast<int>(fine.observe(metrics(kNaN, kNaN, kNaN, kNaN)).size());
    warned[5] += static_cast<int>(rising.observe(metrics(0.6, 0.01, -0.4, u)).size());
  }
  EXPECT_EQ(warned[0], 0);
  EXPECT_EQ(warned[1], 1);
  EXPECT_EQ(warned[2], 1);
  EXPECT_EQ(warned[3], 1);
  EXPECT_EQ(warned[4], 0);
  EXPECT_EQ(warned[5], 0);
}

// Values beyond all returns, in the scale that they are learned in.
TEST(TrainingWatch, WarnsOfValuesThatDiverge) {
  const auto warnings = [](double q, float reward_scale) {
    TrainingWatch watch(EnvSpec{}, reward_scale);
    int count = 0;
    for (int report = 0; report < 10; ++report) {
      MetricsRecord m;
      m.add("return_mean", report < 2 ? kNaN : -150.0).add("q_mean", q);
      count += static_cast<int>(watch.observe(m).size());
    }
    return count;
  };
  EXPECT_EQ(warnings(-2e5, 1.0f), 1);
  EXPECT_EQ(warnings(-2e3, 1.0f), 0);
  EXPECT_EQ(warnings(-2e3, 0.01f), 1);
  EXPECT_EQ(warnings(kNaN, 1.0f), 0);
  TrainingWatch sparse(EnvSpec{});  // nothing was ever returned
  int count = 0;
  for (int report = 0; report < 10; ++report) {
    MetricsRecord m;
    m.add("return_mean", 0.0).add("q_mean", 2e3);
    count += static_cast<int>(sparse.observe(m).size());
  }
  EXPECT_EQ(count, 1);
}

}  // namespace
}  // namespace rollmill
