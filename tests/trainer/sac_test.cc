// Soft actor-critic: the gradients of its three losses against numerical differentiation in float64, its state over a
// resume, threads.
#include "trainer/algos/sac.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/trainer/actor_critic_oracle.h"
#include "tests/trainer/resume.h"

namespace rollmill {
namespace {

using testing::Doubles;
using testing::DrawnRow;

TrainOptions options() {
  TrainOptions o = testing::small_pendulum(
      "sac", [](TrainOptions& all) -> OffPolicyOptions& { return all.sac.replay; });
  o.log_std_init = -0.5f;
  o.sac.temperature = 0.3f;
  return o;
}

constexpr double kTorque = 2;  // the action's range

// A sampled action in [-1, 1] and its log-density, as the documentation of the squashed Gaussian has it.
struct Sample {
  Doubles action;
  double logp = 0;
};

Sample sample(const PolicyWeights& w, const Doubles& p, const Doubles& x, std::size_t row,
              std::int64_t update, std::uint32_t draw) {
  Rng rng(1, Purpose::kUpdateNoise, static_cast<std::uint32_t>(row),
          static_cast<std::uint32_t>(update), draw);
  const Doubles head = testing::forward(w.layout.actor, p, x);
  const std::size_t n = head.size() / 2;
  Sample s;
  for (std::size_t a = 0; a < n; ++a) {
    const double noise = rng.normal(), log_std = std::clamp(head[n + a], -20.0, 2.0);
    const double raw = head[a] + std::exp(log_std) * noise, unit = std::tanh(raw);
    s.action.push_back(unit);
    s.logp += -0.5 * noise * noise - log_std - 0.5 * std::log(2 * M_PI) - std::log(1 - unit * unit);
  }
  return s;
}

TEST(Sac, GradientsEqualNumericalDifferentiation) {
  const TrainOptions o = options();
  const auto group = make_process_group(LaunchInfo{}, false);
  SacTrainer t(o, *group);
  t.step();
  t.step();
  // Everything as it is before an update.
  const PolicyWeights weights = t.weights();
  const std::int64_t update = t.actor_optimizer().step;
  ASSERT_GT(update, 10);
  std::vector<ReplayDraw> drawn(60);
  t.replay().draw(o.seed, update, 0, 60, drawn.data());
  const std::vector<DrawnRow> rows = testing::read_rows(t.replay(), drawn);
  const TwinCritic before = t.critic();
  const AlignedVector<float> actor_moment = t.actor_optimizer().first;
  const float temperature_moment = t.temperature_optimizer().first[0];
  const double alpha = t.temperature(), beta1 = o.sac.replay.adam_beta1;
  const Doubles actor = testing::to_doubles(weights.params);
  t.learn();

  Doubles targets;
  for (std::size_t k = 0; k < rows.size(); ++k) {
    const Sample s = sample(weights, actor, rows[k].next, k, update, 0);
    const Doubles old = testing::to_doubles(before.target());
    const double lower = std::min(testing::q_value(before, old, 0, rows[k].next, s.action),
                                  testing::q_value(before, old, 1, rows[k].next, s.action));
    targets.push_back(rows[k].reward + rows[k].discount * (lower - alpha * s.logp));
  }
  testing::expect_gradient(
      [&](const Doubles& p) { return testing::critic_loss(before, p, rows, targets, kTorque); },
      testing::to_doubles(before.params()), before.optimizer().first, t.critic().optimizer().first,
      beta1, 4e-6);

  // The actor learns from the critics as they are after their step.
  const Doubles critics = testing::to_doubles(t.critic().params());
  double mean_logp = 0;
  for (std::size_t k = 0; k < rows.size(); ++k)
    mean_logp += sample(weights, actor, rows[k].observation, k, update, 1).logp / 60;
  testing::expect_gradient(
      [&](const Doubles& p) {
        double sum = 0;
        for (std::size_t k = 0; k < rows.size(); ++k) {
          const Doubles& x = rows[k].observation;
          const Sample s = sample(weights, p, x, k, update, 1);
          sum += alpha * s.logp - std::min(testing::q_value(before, critics, 0, x, s.action),
                                           testing::q_value(before, critics, 1, x, s.action));
        }
        return sum / static_cast<double>(rows.size());
      },
      actor, actor_moment, t.actor_optimizer().first, beta1, 8e-6);

  const double g = (t.temperature_optimizer().first[0] - beta1 * temperature_moment) / (1 - beta1);
  EXPECT_NEAR(g, -(mean_logp + double{o.sac.target_entropy}), 1e-5);
}

TEST(Sac, ResumeEqualsNoInterruption) {
  testing::expect_resume_equals_no_interruption(options());
  TrainOptions o = options();
  o.sac.automatic_temperature = false;
  testing::expect_resume_equals_no_interruption(o);
}

TEST(Sac, ThreadsChangeNothing) {
  TrainOptions o = options();
  o.sac.replay.batch_size = 256;
  testing::expect_same_on_two_threads(o);
}

TEST(Sac, ShortTrainingHasItsGoldenHash) {
  EXPECT_EQ(testing::weights_hash(options(), 5), "298f6caf8638c5b85fb03a1c72c4d17f");
}

// Half the recipe's steps and a smaller network already swing the pendulum up.
TEST(Sac, LearnsPendulum) {
  TrainOptions o = options();
  o.env.num_envs = 1;
  o.env.time_limit = 200;
  o.policy.hidden = {32, 32};
  o.policy.activation = Activation::kRelu;
  o.log_std_init = 0.0f;
  o.total_steps = 10'000;
  o.stop_window = 20;
  o.stop_at_return = 0;  // never
  o.sac = {};
  o.sac.replay.learning_starts = 500;
  o.sac.replay.batch_size = 64;
  o.sac.replay.learning_rate = 2e-3;
  testing::Run run(o);
  UpdateReport report;
  while (!run->finished()) report = run->step();
  EXPECT_GE(report.mean_return, -200);
}

}  // namespace
}  // namespace rollmill
