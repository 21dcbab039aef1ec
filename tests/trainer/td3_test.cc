// TD3: the gradients of its losses against numerical differentiation in float64, delays, state over a resume, threads.
#include "trainer/algos/td3.h"

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
      "td3", [](TrainOptions& all) -> OffPolicyOptions& { return all.td3.replay; });
  o.td3.policy_every = 3;
  return o;
}

constexpr double kTorque = 2;  // the action's range

Doubles act(const PolicyWeights& w, const Doubles& p, const Doubles& x) {
  Doubles a = testing::forward(w.layout.actor, p, x);
  for (double& u : a) u = std::tanh(u);
  return a;
}

TEST(Td3, GradientsEqualNumericalDifferentiation) {
  const TrainOptions o = options();
  const auto group = make_process_group(LaunchInfo{}, false);
  Td3Trainer t(o, *group);
  t.step();
  t.step();
  while (t.critic().optimizer().step % 3 != 2) t.learn();  // the next one moves the actor too
  const PolicyWeights weights = t.weights();
  const std::int64_t update = t.critic().optimizer().step;
  ASSERT_GT(update, 10);
  std::vector<ReplayDraw> drawn(60);
  t.replay().draw(o.seed, update, 0, 60, drawn.data());
  const std::vector<DrawnRow> rows = testing::read_rows(t.replay(), drawn);
  const TwinCritic before = t.critic();
  const Doubles target_actor = testing::to_doubles(t.target());
  const AlignedVector<float> actor_moment = t.actor_optimizer().first;
  const Doubles actor = testing::to_doubles(weights.params);
  t.learn();

  Doubles targets;
  int clipped = 0;
  for (std::size_t k = 0; k < rows.size(); ++k) {
    Rng rng(o.seed, Purpose::kUpdateNoise, static_cast<std::uint32_t>(k),
            static_cast<std::uint32_t>(update), 0);
    Doubles a = act(weights, target_actor, rows[k].next);
    for (double& u : a) {
      const double noise = 0.2 * static_cast<double>(rng.normal());
      clipped += std::abs(noise) > 0.5;
      u = std::clamp(u + std::clamp(noise, -0.5, 0.5), -1.0, 1.0);
    }
    const Doubles old = testing::to_doubles(before.target());
    targets.push_back(rows[k].reward +
                      rows[k].discount *
                          std::min(testing::q_value(before, old, 0, rows[k].next, a),
                                   testing::q_value(before, old, 1, rows[k].next, a)));
  }
  const double beta1 = o.td3.replay.adam_beta1;
  testing::expect_gradient(
      [&](const Doubles& p) { return testing::critic_loss(before, p, rows, targets, kTorque); },
      testing::to_doubles(before.params()), before.optimizer().first, t.critic().optimizer().first,
      beta1, 4e-6);

  const Doubles critics = testing::to_doubles(t.critic().params());
  testing::expect_gradient(
      [&](const Doubles& p) {
        double sum = 0;
        for (const DrawnRow& row : rows)
          sum -= testing::q_value(before, critics, 0, row.observation,
                                  act(weights, p, row.observation));
        return sum / static_cast<double>(rows.size());
      },
      actor, actor_moment, t.actor_optimizer().first, beta1, 8e-6);
}

// Actor and targets move with every third update of the critics only.
TEST(Td3, TheActorIsDelayed) {
  const auto group = make_process_group(LaunchInfo{}, false);
  Td3Trainer t(options(), *group);
  t.step();
  for (int k = 0; k < 7; ++k) {
    const AlignedVector<float> params = t.weights().params, target = t.target();
    const AlignedVector<float> critics = t.critic().params(), old = t.critic().target();
    t.learn();
    const bool moves = t.critic().optimizer().step % 3 == 0;
    EXPECT_NE(t.critic().params(), critics);
    EXPECT_EQ(t.weights().params != params, moves);
    EXPECT_EQ(t.target() != target, moves);
    EXPECT_EQ(t.critic().target() != old, moves);
  }
}

TEST(Td3, ResumeEqualsNoInterruption) { testing::expect_resume_equals_no_interruption(options()); }

TEST(Td3, ThreadsChangeNothing) {
  TrainOptions o = options();
  o.td3.replay.batch_size = 256;
  testing::expect_same_on_two_threads(o);
}

TEST(Td3, ShortTrainingHasItsGoldenHash) {
  EXPECT_EQ(testing::weights_hash(options(), 5), "8cfdc6d9192da983ef3759b2130b6583");
}

// The gradient by actions, several of them, at an input from the middle of a tile.
TEST(TwinCritic, ActionGradientEqualsNumericalDifferentiation) {
  for (const Activation activation : {Activation::kTanh, Activation::kRelu}) {
    PolicyShape shape;
    shape.observed = {ObservationKind::kReal, {5}, {}, 5, 5};
    shape.reals = 3;
    shape.hidden = {20, 12};
    shape.activation = activation;
    TwinCritic critic(shape, 4);
    critic.pack();
    TwinCritic::Tile tile(critic);
    TileInput input(shape);
    const int rows = 11;
    AlignedVector<float> words(5 * rows);
    Rng rng(6, Purpose::kTest, 0, 0, 0);
    for (float& w : words) w = rng.normal();
    std::int64_t at[kTileRows];
    for (int r = 0; r < rows; ++r) at[r] = 5 * r;
    input.gather({words.data(), 1}, at, nullptr, rows, ObservationNormalizer());
    critic.set_observations(input, rows, tile);
    Doubles actions[rows];
    for (int r = 0; r < rows; ++r) {
      for (int a = 0; a < 3; ++a) {
        critic.action(tile, r, a) = rng.uniform(-1, 1);
        actions[r].push_back(critic.action(tile, r, a));
      }
    }
    critic.values(critic.params(), rows, tile);
    float dq[2][kTileRows];
    for (int r = 0; r < rows; ++r) dq[0][r] = 0.5f, dq[1][r] = r % 2 == 0 ? -2.0f : 0.0f;
    AlignedVector<float> da(3 * kTileRows);
    critic.action_gradient(dq, rows, tile, da.data());
    const Doubles p = testing::to_doubles(critic.params());
    for (int r = 0; r < rows; ++r) {
      const Doubles x(words.begin() + 5 * r, words.begin() + 5 * (r + 1));
      const auto loss = [&] {
        return 0.5 * testing::q_value(critic, p, 0, x, actions[r]) +
               static_cast<double>(dq[1][r]) * testing::q_value(critic, p, 1, x, actions[r]);
      };
      for (std::size_t a = 0; a < 3; ++a) {
        const double here = actions[r][a];
        actions[r][a] = here + 1e-6;
        const double above = loss();
        actions[r][a] = here - 1e-6;
        const double below = loss();
        actions[r][a] = here;
        // A head's weights are about 0.01: sums of a dozen products of float32 of that size.
        EXPECT_NEAR(da[a * kTileRows + static_cast<std::size_t>(r)], (above - below) / 2e-6, 2e-7);
      }
    }
  }
}

}  // namespace
}  // namespace rollmill
