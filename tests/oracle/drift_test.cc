// Whole recorded episodes without putting the state right in between: from Gymnasium's first state,
// through our runtime, with the recorded actions. Roundings then feed on each other.
//
// Where the dynamics do not blow errors up, the drift has a bound, and every reward, termination
// and truncation must fall on the recorded step. A step adds at most K * 2^-24 of the state's range
// (oracle_test.cc; K = 6). The mountain car lives in a valley, where errors swing to and fro
// instead of growing, so n steps add up to at most K * 2^-24 * n of the range 1.8. The others only
// report, but for their first steps: upright poles and pendulums are unstable (errors grow by e in
// 0.26 s), Acrobot is chaotic.
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "envs/batch_cpu.h"
#include "tests/oracle/oracle_env.h"
#include "tests/oracle/trajectory.h"

namespace rollmill {
namespace {

using test::OracleEnv;
using test::Trajectories;

struct Drift {
  double largest = 0;  // over all state components and the steps asked for
  int wrong_ends = 0;  // episodes that end at another step or in another way
  int episodes = 0, steps = 0;
};

// Follows each episode for up to `horizon` steps. The last step's state is gone into the next
// episode by then, and so is left out of the drift, not of the ends.
template <class Env>
Drift follow(const Trajectories& t, int horizon) {
  constexpr int kSize = kWords<typename Env::State>;
  Drift drift;
  std::size_t row = 0;
  int at = 0;
  for (const std::int32_t length : t.lengths) {
    BatchConfig config;
    CpuBatch<Env> batch(config, nullptr);
    std::vector<float> observation(batch.stride() * Env::Observation::kSize);
    batch.reset(observation.data());
    std::vector<std::uint32_t> words;
    for (int k = 0; k < kSize; ++k) {
      words.push_back(math::to_bits(static_cast<float>(t.states[row * kSize + k])));
    }
    batch.set_state_words(0, words);
    for (int s = 0; s < std::min<int>(length, horizon); ++s, ++drift.steps) {
      const float action = t.actions[at + s];
      const auto choice = static_cast<std::int32_t>(action);
      float reward;
      std::uint8_t end;
      StepBuffers buffers;
      buffers.actions = t.discrete ? static_cast<const void*>(&choice) : &action;
      buffers.observations = observation.data();
      buffers.rewards = &reward;
      buffers.ends = &end;
      batch.step(buffers);
      const std::uint8_t flag = t.flags[at + s];
      const int expected = (flag & 1) != 0 ? kTerminated : (flag & 2) != 0 ? kTruncated : kRunning;
      drift.wrong_ends += end != expected;
      if (end != expected || end != kRunning) break;
      words = batch.state_words(0);
      for (int k = 0; k < kSize; ++k) {
        const double d = math::from_bits(words[k]) - t.states[(row + s + 1) * kSize + k];
        const double turned = OracleEnv<Env>::kAngle[k] ? std::remainder(d, test::kTwoPi64) : d;
        drift.largest = std::max(drift.largest, std::abs(turned));
      }
    }
    ++drift.episodes;
    row += length + 1;
    at += length;
  }
  return drift;
}

template <class Env>
Drift run(int horizon) {
  const Trajectories t = test::read_trajectories(
      std::string(RM_TEST_DATA_DIR) + "/oracle/data/" + Env::info.id + ".bin", Env::info.id);
  const Drift drift = follow<Env>(t, horizon);
  std::printf("%s: up to %d steps without resync: drift %.2e, %d of %d episodes end elsewhere\n",
              Env::info.id, horizon, drift.largest, drift.wrong_ends, drift.episodes);
  return drift;
}

TEST(DriftTest, MountainCarStaysWithItsOracle) {
  constexpr int kSteps = 200;
  const Drift drift = run<MountainCar>(kSteps);
  EXPECT_LE(drift.largest, 6 * test::kUnit * kSteps * 1.8);
  EXPECT_EQ(drift.wrong_ends, 0);
}

TEST(DriftTest, MountainCarContinuousStaysWithItsOracle) {
  constexpr int kSteps = 999;
  const Drift drift = run<MountainCarContinuous>(kSteps);
  EXPECT_LE(drift.largest, 6 * test::kUnit * kSteps * 1.8);
  EXPECT_EQ(drift.wrong_ends, 0);
}

// An unstable system has a bound too while it is young: a step's errors grow by e every 1 / rate
// seconds.
TEST(DriftTest, CartPoleDriftsNoFasterThanItFalls) {
  constexpr int kSteps = 50;
  const double rate = std::sqrt(9.8 / (0.5 * (4.0 / 3.0 - 0.1 / 1.1)));
  const double range = 3.5;  // the largest speed, rad/s or m/s
  const Drift drift = run<CartPole>(kSteps);
  EXPECT_LE(drift.largest, 12 * test::kUnit * range * kSteps * std::exp(rate * kSteps * 0.02));
  EXPECT_EQ(drift.wrong_ends, 0);
  run<CartPole>(500);
}

TEST(DriftTest, PendulumDriftsNoFasterThanItFalls) {
  constexpr int kSteps = 25;
  const double rate = std::sqrt(15.0);
  const Drift drift = run<Pendulum>(kSteps);
  EXPECT_LE(drift.largest, 8 * test::kUnit * 8.0 * kSteps * std::exp(rate * kSteps * 0.05));
  EXPECT_EQ(drift.wrong_ends, 0);
  EXPECT_EQ(run<Pendulum>(200).wrong_ends, 0);  // only the clock ends it
}

TEST(DriftTest, AcrobotReportsItsDrift) {
  EXPECT_LE(run<Acrobot>(10).largest, 1e-2);  // not another system
  run<Acrobot>(500);
}

}  // namespace
}  // namespace rollmill
