// Our float32 tasks against Gymnasium's float64 ones: every recorded step, from the recorded state.
//
// The bound. A float32 step that loses nothing but roundings gives the exact step of a start
// state that is off by at most K roundings of each component's magnitude, plus the rounding of the
// result. So each component may differ by
//     2^-24 * (K * what moving each start component by its magnitude changes + 2 * |result|)
// K counts the roundings on the longest chain of operations (OracleEnv::kRoundings); one of them is
// the rounding of the recorded start state to float32. The change is measured by moving each
// component of the start by 2^-10 of its magnitude, both ways, through our own step, which the
// comparison itself vouches for.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <string>
#include <type_traits>
#include <vector>

#include "envs/batch_cpu.h"
#include "tests/oracle/oracle_env.h"
#include "tests/oracle/trajectory.h"

namespace rollmill {
namespace {

using test::kUnit;
using test::OracleEnv;
using test::Trajectories;

template <class Env>
class OracleTest : public testing::Test {
 protected:
  using Oracle = OracleEnv<Env>;
  using State = typename Env::State;
  static constexpr int kSize = kWords<State>;
  static constexpr int kObservation = Env::Observation::kSize;
  using Row = std::array<double, kSize>;

  struct Result {
    Row state;
    std::array<float, kObservation> observation;
    double reward;
    bool terminated;
  };

  static const Trajectories& recorded() {
    static const Trajectories t = test::read_trajectories(
        std::string(RM_TEST_DATA_DIR) + "/oracle/data/" + Env::info.id + ".bin", Env::info.id);
    return t;
  }

  static State to_state(const Row& row) {
    State s{};
    int k = 0;
    s.visit([&](const char*, auto& field) { field = static_cast<float>(row[k++]); });
    return s;
  }

  static typename Env::Action::Value to_action(float a) {
    if constexpr (Env::Action::kDiscreteColumns > 0) {
      return static_cast<std::int32_t>(a);
    } else {
      return {{a}};
    }
  }

  static Result step(const Row& start, float action, const typename Env::Params& params) {
    State s = to_state(start);
    Rng rng(0, Purpose::kTest, 0, 0, 0);
    const Transition t = Env::step(s, params, to_action(action), rng);
    Result r{};
    Env::observe(s, params, Strided<float>{r.observation.data(), 1});
    int k = 0;
    s.visit([&](const char*, auto& field) { r.state[k++] = field; });
    r.reward = t.reward;
    r.terminated = t.reason != 0;
    return r;
  }

  static double difference(int k, double a, double b) {
    return std::abs(Oracle::kAngle[k] ? std::remainder(a - b, test::kTwoPi64) : a - b);
  }

  // Allowed differences of one step: each state component, then the reward.
  static std::array<double, kSize + 1> bounds(const Row& before, const Row& after, float action,
                                              const Result& result) {
    constexpr double kMove = 0x1p-10;
    std::array<double, kSize + 1> bound{};
    for (int j = 0; j < kSize; ++j) {
      const double magnitude =
          std::max({std::abs(before[j]), std::abs(after[j]), Oracle::kFloor[j]});
      std::array<double, kSize + 1> change{};
      for (const double sign : {-1.0, 1.0}) {
        Row moved = before;
        moved[j] += sign * kMove * magnitude;
        const Result r = step(moved, action, {});
        for (int k = 0; k < kSize; ++k) {
          change[k] = std::max(change[k], difference(k, r.state[k], result.state[k]));
        }
        if (r.terminated == result.terminated) {  // else it jumps
          change[kSize] = std::max(change[kSize], std::abs(r.reward - result.reward));
        }
      }
      for (int k = 0; k <= kSize; ++k) bound[k] += Oracle::kRoundings * kUnit / kMove * change[k];
    }
    for (int k = 0; k < kSize; ++k) bound[k] += 2 * kUnit * std::abs(after[k]);
    bound[kSize] += 4 * kUnit * std::abs(result.reward);
    return bound;
  }

  template <class Visit>
  static void for_each_step(Visit&& visit) {
    const Trajectories& t = recorded();
    std::size_t row = 0;
    int step_index = 0;
    for (const std::int32_t length : t.lengths) {
      for (int s = 0; s < length; ++s, ++step_index, ++row) {
        Row before, after;
        for (int k = 0; k < kSize; ++k) {
          before[k] = t.states[row * kSize + k];
          after[k] = t.states[(row + 1) * kSize + k];
        }
        visit(step_index, before, after);
      }
      ++row;
    }
  }

  struct Outcome {
    double worst = 0;              // largest difference over its bound, of states and rewards
    int beyond = 0;                // how many were beyond it
    int flags = 0;                 // wrong terminations that no rounding explains
    int near = 0;                  // those that one does explain
    double worst_observation = 0;  // the same for sines and cosines
    int other_observations = 0;    // further elements that are not their state component
  };

  static void compare(Outcome& outcome, double& worst, double difference, double bound) {
    const double ratio = difference == 0 ? 0 : difference / bound;
    worst = std::max(worst, ratio);
    outcome.beyond += !(ratio <= 1);  // a NaN too
  }

  static Outcome follow(const typename Env::Params& params) {
    const Trajectories& t = recorded();
    Outcome outcome;
    for_each_step([&](int i, const Row& before, const Row& after) {
      const Result r = step(before, t.actions[i], params);
      const auto bound = bounds(before, after, t.actions[i], r);
      for (int k = 0; k < kSize; ++k) {
        compare(outcome, outcome.worst, difference(k, r.state[k], after[k]), bound[k]);
      }
      const bool terminated = (t.flags[i] & 1) != 0;
      if (r.terminated == terminated) {
        compare(outcome, outcome.worst, std::abs(r.reward - t.rewards[i]), bound[kSize]);
      } else {
        const bool explained = std::abs(Oracle::margin(after)) <= Oracle::margin_error(bound);
        ++(explained ? outcome.near : outcome.flags);
      }
      for (int k = 0; k < t.trig_size; ++k) {  // slope at most 1, three roundings
        const double allowed = bound[Oracle::kTrigOf[k]] + 3 * kUnit;
        const double d = std::abs(r.observation[k] - t.trig[i * t.trig_size + k]);
        compare(outcome, outcome.worst_observation, d, allowed);
      }
      for (std::size_t k = 0; k < Oracle::kRest.size(); ++k) {
        const float component = static_cast<float>(r.state[Oracle::kRest[k]]);
        outcome.other_observations += r.observation[t.trig_size + k] != component;
      }
    });
    return outcome;
  }
};

using Tasks = testing::Types<CartPole, Acrobot, MountainCar, MountainCarContinuous, Pendulum>;
TYPED_TEST_SUITE(OracleTest, Tasks);

TYPED_TEST(OracleTest, DataCoversTheTask) {
  const Trajectories& t = this->recorded();
  EXPECT_GE(t.steps, 10000);
  EXPECT_EQ(t.state_size, TestFixture::kSize);
  EXPECT_EQ(t.discrete, TypeParam::Action::kDiscreteColumns > 0);
  int terminated = 0, truncated = 0, at = 0;
  for (const std::int32_t length : t.lengths) {
    at += length;
    terminated += (t.flags[at - 1] & 1) != 0;
    truncated += (t.flags[at - 1] & 2) != 0;
    if ((t.flags[at - 1] & 2) != 0) {
      EXPECT_EQ(length, TypeParam::info.time_limit);
    }
    EXPECT_LE(length, TypeParam::info.time_limit);
  }
  EXPECT_EQ(at, t.steps);
  EXPECT_GE(truncated, 5);
  EXPECT_GE(terminated, TypeParam::info.outcomes[0] == nullptr ? 0 : 10);
}

TYPED_TEST(OracleTest, EveryStepAgreesWithinFloat32) {
  const auto outcome = this->follow({});
  std::printf(
      "%s: largest difference %.2f of its bound (observation %.2f), %d ends near a threshold\n",
      TypeParam::info.id, outcome.worst, outcome.worst_observation, outcome.near);
  EXPECT_EQ(outcome.beyond, 0);
  EXPECT_EQ(outcome.other_observations, 0);
  EXPECT_EQ(outcome.flags, 0);
  EXPECT_LE(outcome.near, 2);
  EXPECT_GT(outcome.worst, 0.02);  // a bound that far off would be no bound
}

// The comparison notices an error of a ten-thousandth in one constant.
TYPED_TEST(OracleTest, NoticesAWrongConstant) {
  typename TypeParam::Params params;
  bool first = true;
  params.visit([&first](const FieldInfo&, float& value) {
    if (first) value *= 1.0001f;
    first = false;
  });
  EXPECT_GT(this->follow(params).beyond, 100);
}

// Through the runtime, with a time limit of one step: a recorded termination is reported as one
// although the limit is reached in the same step, every other step as a truncation; rewards and
// last observations are kept.
TYPED_TEST(OracleTest, TerminationBeatsTruncation) {
  using Env = TypeParam;
  const Trajectories& t = this->recorded();
  BatchConfig config;
  config.num_envs = t.steps;
  config.time_limit = 1;
  CpuBatch<Env> batch(config, nullptr);
  const auto stride = static_cast<std::size_t>(batch.stride());
  AlignedVector<float> observations(stride * Env::Observation::kSize), rewards(stride);
  AlignedVector<float> last(observations.size(), math::kNan), actions(stride);
  AlignedVector<std::int32_t> choices(stride);
  AlignedVector<std::uint8_t> ends(stride), outcomes(stride, 255);
  batch.reset(observations.data());
  std::vector<typename TestFixture::Result> expected;
  this->for_each_step([&](int i, const auto& before, const auto&) {
    typename Env::State s = this->to_state(before);
    std::vector<std::uint32_t> words;
    s.visit([&](const char*, auto& field) { words.push_back(math::to_bits(field)); });
    batch.set_state_words(i, words);
    actions[i] = t.actions[i];
    choices[i] = static_cast<std::int32_t>(t.actions[i]);
    expected.push_back(this->step(before, t.actions[i], {}));
  });
  StepBuffers buffers;
  buffers.actions = t.discrete ? static_cast<const void*>(choices.data()) : actions.data();
  buffers.observations = observations.data();
  buffers.rewards = rewards.data();
  buffers.ends = ends.data();
  buffers.final_observations = last.data();
  buffers.outcomes = outcomes.data();
  batch.step(buffers);
  int wrong = 0;
  std::array<int, 256> seen{};
  for (int i = 0; i < t.steps; ++i) {
    const bool terminated = expected[i].terminated;
    ++seen[outcomes[i]];
    if constexpr (std::is_same_v<Env, CartPole>) {  // the only task with two reasons
      const bool fell = std::abs(expected[i].state[2]) > CartPole::Params{}.angle_limit;
      wrong += terminated && outcomes[i] != (fell ? 1 : 2);
    }
    wrong += ends[i] != (terminated ? kTerminated : kTruncated);
    wrong += (outcomes[i] != kOutcomeTimeLimit) != terminated;
    wrong += rewards[i] != static_cast<float>(expected[i].reward);
    for (int k = 0; k < Env::Observation::kSize; ++k) {
      wrong += last[k * stride + i] != expected[i].observation[k];
    }
  }
  EXPECT_EQ(wrong, 0);
  for (int k = 0; k < 6 && Env::info.outcomes[k] != nullptr; ++k) {
    EXPECT_GT(seen[k + 1], 0) << Env::info.outcomes[k] << " is in no record";
  }
}

}  // namespace
}  // namespace rollmill
