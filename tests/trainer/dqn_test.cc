// Deep Q-learning: its gradient against numerical differentiation in float64, its state over a resume, threads, learning.
#include "trainer/algos/dqn.h"

#include <gtest/gtest.h>

#include <cmath>
#include <ostream>
#include <set>

#include "tests/trainer/derivatives.h"
#include "tests/trainer/double_loss.h"
#include "tests/trainer/resume.h"

namespace rollmill {
namespace {

using testing::forward;

TrainOptions options(const std::string& env) {
  TrainOptions o;
  o.algorithm = "dqn";
  o.env.id = env;
  o.env.num_envs = 6;
  o.env.time_limit = 20;
  o.policy.hidden = {9, 7};
  o.threads = 1;
  o.reward_scale = 0.5f;
  o.total_steps = 100'000;
  o.dqn.replay.buffer_size = 600;
  o.dqn.replay.learning_starts = 120;
  o.dqn.replay.train_every = 2;
  o.dqn.replay.updates_per_step = 1;
  o.dqn.replay.report_every = 40;
  o.dqn.replay.batch_size = 70;  // two tiles
  o.dqn.replay.gamma = 0.9f;
  o.dqn.target_every = 7;
  o.dqn.exploration_steps = 1000;
  return o;
}

struct Case {
  const char* name;
  bool double_q, duelling;
  float huber, alpha;
  int n_step;
  const char* env = "CartPole-v1";
  float reward_scale = 0.5f;
  std::vector<ConvShape> conv = {};
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

// Q(s, .) of the words of one observation, in float64.
std::vector<double> values(const PolicyWeights& w, const std::vector<double>& p, const float* words,
                           bool duelling) {
  const ObservationSpec& o = w.layout.shape.observed;
  std::vector<double> x;
  for (int c = 0; c < o.columns; ++c) {
    std::uint32_t word;
    std::memcpy(&word, words + c, 4);
    if (o.kind == ObservationKind::kReal) x.push_back(words[c]);
    for (int n = 0; o.kind == ObservationKind::kBits && n < 32; ++n) x.push_back(word >> n & 1);
  }
  x.resize(static_cast<std::size_t>(o.elements));
  std::vector<double> q = forward(w.layout.actor, p, x);
  if (!duelling) return q;
  double mean = 0;
  for (const double a : q) mean += a / static_cast<double>(q.size());
  const double v = forward(w.layout.critic, p, x)[0];
  for (double& a : q) a += v - mean;
  return q;
}

// Of the allowed choices, at most 32.
std::size_t best(std::vector<double> q, const Word* mask) {
  for (std::size_t a = 0; mask != nullptr && a < q.size(); ++a)
    if ((*mask >> a & 1) == 0) q[a] = -1e300;
  return static_cast<std::size_t>(std::max_element(q.begin(), q.end()) - q.begin());
}

struct Oracle {
  DqnTrainer& trainer;
  const DqnOptions& o;
  std::vector<ReplayDraw> drawn;
  std::vector<double> target;  // one a row

  Oracle(DqnTrainer& t, float beta) : trainer(t), o(t.options().dqn), drawn(70), target(70) {
    const std::vector<double> p(t.weights().params.begin(), t.weights().params.end());
    const std::vector<double> old(t.target().begin(), t.target().end());
    t.replay().draw(t.options().seed, t.optimizer().step, beta, 70, drawn.data());
    std::vector<float> next(static_cast<std::size_t>(t.replay().row_words()));
    for (std::size_t k = 0; k < drawn.size(); ++k) {
      const NStep n = t.replay().n_step(drawn[k].row, next.data());
      const auto valued = values(t.weights(), old, next.data(), o.duelling);
      const auto chosen = o.double_q ? values(t.weights(), p, next.data(), o.duelling) : valued;
      target[k] = n.reward + n.discount * valued[best(chosen, t.replay().mask(next.data()))];
    }
  }
  double loss(const std::vector<double>& p) const {
    double sum = 0;
    for (std::size_t k = 0; k < drawn.size(); ++k) {
      const ReplayBuffer& r = trainer.replay();
      const auto q =
          values(trainer.weights(), p, r.observations() + drawn[k].row * r.row_words(), o.duelling);
      const double e = std::abs(q[static_cast<std::size_t>(r.action(drawn[k].row)[0])] - target[k]);
      const double limit = o.huber;
      sum += drawn[k].weight * (limit > 0 && e > limit ? limit * (e - limit / 2) : e * e / 2);
    }
    return sum / static_cast<double>(drawn.size());
  }
};

class DqnGradient : public ::testing::TestWithParam<Case> {};

// Tolerance as in gradient_test.cc: float32 sums over 70 rows against central differences in float64.
TEST_P(DqnGradient, EqualsNumericalDifferentiation) {
  const Case& c = GetParam();
  TrainOptions o = options(c.env);
  o.dqn.double_q = c.double_q;
  o.dqn.duelling = c.duelling;
  o.dqn.huber = c.huber;
  o.dqn.priority_alpha = c.alpha;
  o.dqn.replay.n_step = c.n_step;
  o.reward_scale = c.reward_scale;
  o.policy.conv = c.conv;
  const auto group = make_process_group(LaunchInfo{}, false);
  DqnTrainer trainer(o, *group);
  trainer.step();  // experience, and updates that part network and target
  const PolicyWeights before = trainer.weights();
  const double done = static_cast<double>(trainer.progress().env_steps) / 100'000;
  const Oracle oracle(trainer, static_cast<float>(double{0.4f} + (1 - double{0.4f}) * done));
  const AlignedVector<float> moment = trainer.optimizer().first;
  std::vector<double> p(before.params.begin(), before.params.end());
  // Every parameter of a small network, some of a large one.
  const std::vector<std::size_t> tested =
      testing::tested_parameters(p.size(), c.conv.empty() ? 1500 : 150);
  std::vector<double> numerical(p.size());
  double largest = 0;
  for (const std::size_t i : tested) {
    numerical[i] =
        testing::central_difference([&](const auto& at) { return oracle.loss(at); }, p, i);
    largest = std::max(largest, std::abs(numerical[i]));
  }
  ASSERT_GT(largest, 0.001);
  trainer.learn();
  const double beta1 = o.dqn.replay.adam_beta1;
  for (const std::size_t i : tested) {
    const double g = (trainer.optimizer().first[i] - beta1 * moment[i]) / (1 - beta1);
    // The moment is stored in float32: ten times its rounding returns in g.
    EXPECT_NEAR(g, numerical[i], 4e-6 * largest + 1e-6 * std::abs(static_cast<double>(moment[i])))
        << i;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Losses, DqnGradient,
    ::testing::Values(Case{"plain", false, false, 0, 0, 1},
                      Case{"double_huber", true, false, 0.05f, 0, 1},
                      Case{"duelling", true, true, 1, 0, 3},
                      Case{"prioritised", false, false, 1, 0.6f, 2},
                      Case{"patches", true, true, 1, 0, 2, "MinAtar/Breakout-v1", 10, {{16, 3, 1}}},
                      Case{"bits", true, true, 1, 0.6f, 3, "MinAtar/Breakout-v1"},
                      Case{"masked", true, false, 1, 0, 2, "Rollmill/IcePush-v0", 10},
                      Case{"masked_single", false, true, 1, 0, 1, "Rollmill/IcePush-v0", 10}),
    [](const auto& test) { return test.param.name; });

TEST(Dqn, ResumeEqualsNoInterruption) {
  for (const bool all : {false, true}) {
    TrainOptions o = options("CartPole-v1");
    o.dqn.replay.n_step = all ? 3 : 1;
    o.dqn.duelling = all;
    o.dqn.priority_alpha = all ? 0.6f : 0.0f;
    testing::expect_resume_equals_no_interruption(o);
  }
}

TEST(Dqn, ThreadsChangeNothing) {
  TrainOptions o = options("CartPole-v1");
  o.dqn.priority_alpha = 0.6f;
  o.dqn.replay.batch_size = 256;
  testing::expect_same_on_two_threads(o);
}

TEST(Dqn, ShortTrainingHasItsGoldenHash) {
  TrainOptions o = options("CartPole-v1");
  o.dqn.priority_alpha = 0.6f;
  o.dqn.replay.n_step = 3;
  EXPECT_EQ(testing::weights_hash(o, 5), "5a5b5ca4b3b2bddb5c45f9bf80a91bac");
}

// Of one block and of several: a part of the time of the steps, which the policy has its share of.
TEST(Dqn, MeasuresTheEnvironmentsSteps) {
  for (const int envs : {6, 1'600}) {
    TrainOptions o = options("CartPole-v1");
    o.env.num_envs = envs;
    o.threads = envs == 6 ? 1 : 3;
    o.dqn.replay.buffer_size = 100 * envs;
    testing::Run run(o);
    for (int k = 0; k < 2; ++k) {
      const UpdateReport r = run->step();
      EXPECT_GT(r.env_seconds, 0);
      EXPECT_LT(r.env_seconds, r.collect_seconds);
    }
  }
}

// Whatever is drawn and whoever chooses, only allowed actions are played.
TEST(Dqn, PlaysAllowedActionsOnly) {
  for (const double epsilon : {0.0, 1.0}) {
    TrainOptions o = options("Rollmill/IcePush-v0");
    o.dqn.exploration_start = o.dqn.exploration_end = static_cast<float>(epsilon);
    const auto group = make_process_group(LaunchInfo{}, false);
    DqnTrainer trainer(o, *group);
    for (int k = 0; k < 3; ++k) trainer.step();
    const ReplayBuffer& r = trainer.replay();
    std::set<std::int32_t> played;
    int refused = 0;
    std::vector<ReplayDraw> drawn(2000);
    r.draw(1, 1, 0.0f, static_cast<int>(drawn.size()), drawn.data());
    for (const auto& [row, weight] : drawn) {
      const Word mask = *r.mask(r.observations() + row * r.row_words());
      const std::int32_t action = r.action(row)[0];
      EXPECT_TRUE(mask >> action & 1) << row;
      refused += mask != 15u;
      played.insert(action);
    }
    EXPECT_GT(refused, 0);
    if (epsilon > 0) EXPECT_EQ(played.size(), 4u);
  }
}

TEST(Dqn, LearnsCartPole) {
  TrainOptions o;
  o.algorithm = "dqn";
  o.env.id = "CartPole-v1";
  o.env.num_envs = 4;
  o.threads = 1;
  o.total_steps = 100'000;
  o.dqn.duelling = true;
  o.dqn.priority_alpha = 0.6f;
  o.dqn.target_every = 250;
  o.dqn.exploration_steps = 16'000;
  o.dqn.exploration_end = 0.1f;
  OffPolicyOptions& r = o.dqn.replay;
  r.learning_starts = 1'000;
  r.train_every = r.updates_per_step = 16;
  r.report_every = 240;
  r.batch_size = 64;
  r.n_step = 5;
  r.learning_rate = 1e-3;
  r.anneal_learning_rate = true;
  r.max_grad_norm = 10;
  testing::Run run(o);
  UpdateReport report;
  while (!run->finished()) report = run->step();
  EXPECT_GE(report.mean_return,
            475);  // of the last 100 episodes, a tenth of whose actions are random
}

}  // namespace
}  // namespace rollmill
