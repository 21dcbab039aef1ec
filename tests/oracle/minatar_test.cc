// Our MinAtar games against the `minatar` package: step for step along recorded episodes with the package's random outcomes
// in the place of ours, and with our own randomness by the returns and lengths of a random policy.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>
#include <nlohmann/json.hpp>

#include "envs/batch_cpu.h"
#include "tests/oracle/minatar_games.h"
#include "tests/oracle/minatar_record.h"

namespace rollmill {
namespace {

using test::MinAtarGame;
using test::MinAtarRecord;

std::string data_path(const std::string& name) {
  return std::string(RM_TEST_DATA_DIR) + "/oracle/data/minatar_" + name;
}

template <class Env>
class MinAtarTest : public testing::Test {
 protected:
  using Game = MinAtarGame<Env>;
  using State = typename Env::State;
  using Params = typename Env::Params;
  static constexpr int kSize = Env::Observation::kSize;

  static const MinAtarRecord& recorded() {
    static const MinAtarRecord r =
        test::read_minatar(data_path(std::string(Game::kName) + ".bin"), Game::kName);
    return r;
  }

  // Bits beyond the last element must be 0, so the whole row is compared.
  static bool looks_like(const State& s, const Params& p, const std::uint8_t* planes) {
    Word ours[kSize], theirs[kSize] = {};
    std::fill(ours, ours + kSize, 0xA5A5A5A5u);
    std::memcpy(theirs, planes, static_cast<std::size_t>(recorded().observation_bytes));
    Env::observe(s, p, Words{ours, 1});
    return std::equal(ours, ours + kSize, theirs);
  }

  struct Differences {
    int observations = 0, rewards = 0, ends = 0;
    int first_step = -1;
    void note(int& count, bool differs, int step) {
      count += differs;
      if (differs && first_step < 0) first_step = step;
    }
  };

  // `shift`: the i-th step's random outcomes are taken from step i + shift.
  static Differences follow(int shift = 0) {
    const MinAtarRecord& r = recorded();
    Differences d;
    const std::uint8_t* planes = r.planes.data();
    int i = 0;
    for (std::size_t episode = 0; episode < r.lengths.size(); ++episode) {
      Params p;
      Game::set_ramping(p, r.ramping[episode] != 0);
      State s{};
      const auto at = episode * static_cast<std::size_t>(r.reset_draw_count);
      const std::int8_t* recorded_reset = r.reset_draws.data() + at;
      Env::apply_reset(s, p, Game::reset_draws(recorded_reset));
      if constexpr (requires { Game::alter(s, recorded_reset); }) Game::alter(s, recorded_reset);
      d.note(d.observations, !looks_like(s, p, planes), i);
      planes += r.observation_bytes;
      for (int t = 0; t < r.lengths[episode]; ++t, ++i, planes += r.observation_bytes) {
        const auto source = static_cast<std::size_t>((i + shift) % r.steps);
        const auto row = source * static_cast<std::size_t>(r.draw_count);
        const auto draws = Game::draws(r.sticky[source] != 0, r.draws.data() + row);
        const Transition result = Env::apply(s, p, r.actions[i], draws);
        d.note(d.rewards, result.reward != static_cast<float>(r.rewards[i]), i);
        d.note(d.ends, (result.reason != 0) != (r.terminal[i] != 0), i);
        d.note(d.observations, !looks_like(s, p, planes), i);
      }
    }
    return d;
  }
};

using Games = testing::Types<Asterix, Breakout, Freeway, Seaquest, SpaceInvaders>;
TYPED_TEST_SUITE(MinAtarTest, Games);

TYPED_TEST(MinAtarTest, RecordCoversTheGame) {
  const MinAtarRecord& r = this->recorded();
  EXPECT_GE(r.steps, 10000);
  EXPECT_EQ(r.channels, TypeParam::Observation::kShape[0]);
  int with_ramping = 0, ended = 0, rewarded = 0, repeated = 0;
  std::array<int, 6> chosen{};
  for (const std::uint8_t flag : r.ramping) with_ramping += flag;
  for (const std::uint8_t flag : r.terminal) ended += flag;
  for (const std::uint8_t reward : r.rewards) rewarded += reward != 0;
  for (const std::uint8_t flag : r.sticky) repeated += flag;
  for (const std::uint8_t action : r.actions) ++chosen.at(action);
  EXPECT_GE(with_ramping, 2);
  EXPECT_GE(static_cast<int>(r.ramping.size()) - with_ramping, 2);
  EXPECT_GE(ended, 2);
  EXPECT_GE(rewarded, 50);
  EXPECT_NEAR(repeated, 0.1 * r.steps, 5 * std::sqrt(0.09 * r.steps));  // five deviations
  for (const int count : chosen) EXPECT_GE(count, 50);
}

TYPED_TEST(MinAtarTest, EveryStepIsEqual) {
  const auto d = this->follow();
  EXPECT_EQ(d.observations, 0) << "first at step " << d.first_step;
  EXPECT_EQ(d.rewards, 0) << "first at step " << d.first_step;
  EXPECT_EQ(d.ends, 0) << "first at step " << d.first_step;
}

// The comparison notices random outcomes that come one step too early.
TYPED_TEST(MinAtarTest, NoticesWrongDraws) { EXPECT_GT(this->follow(1).observations, 100); }

TYPED_TEST(MinAtarTest, ActionSetsAreThePackages) {
  using AllActions = typename MinAtarGame<TypeParam>::AllActions;
  const MinAtarRecord& r = this->recorded();
  ASSERT_EQ(TypeParam::kChoices, static_cast<int>(r.minimal.size()));
  for (int k = 0; k < TypeParam::kChoices; ++k) EXPECT_EQ(TypeParam::game_action(k), r.minimal[k]);
  ASSERT_EQ(AllActions::kChoices, 6);
  for (int k = 0; k < 6; ++k) EXPECT_EQ(AllActions::game_action(k), k);
}

struct Sample {
  double count = 0, sum = 0, squares = 0;
  void add(double value) {
    ++count;
    sum += value;
    squares += value * value;
  }
  double mean() const { return sum / count; }
  double variance() const { return (squares - sum * sum / count) / (count - 1); }
};

// First episodes of a batch under uniformly random minimal actions.
template <class Env>
void play_random(int episodes, Sample& returns, Sample& lengths) {
  BatchConfig config;
  config.num_envs = episodes;
  config.seed = 5;
  config.autoreset = true;
  CpuBatch<Env> batch(config, nullptr);
  const auto stride = static_cast<std::size_t>(batch.stride());
  AlignedVector<float> observations(stride * Env::Observation::kSize), rewards(stride),
      episode_returns(stride);
  AlignedVector<std::int32_t> actions(stride), episode_lengths(stride);
  AlignedVector<std::uint8_t> ends(stride);
  std::vector<bool> done(stride);
  StepBuffers buffers;
  buffers.actions = actions.data();
  buffers.observations = observations.data();
  buffers.rewards = rewards.data();
  buffers.ends = ends.data();
  buffers.episode_returns = episode_returns.data();
  buffers.episode_lengths = episode_lengths.data();
  batch.reset(observations.data());
  for (std::uint32_t t = 0; returns.count < episodes; ++t) {
    for (int i = 0; i < episodes; ++i) {
      Rng rng(6, Purpose::kAction, static_cast<std::uint32_t>(i), 0, t);
      actions[i] = static_cast<std::int32_t>(rng.integer(Env::kChoices));
    }
    batch.step(buffers);
    for (int i = 0; i < episodes; ++i) {
      if (ends[i] == 0 || done[i]) continue;
      done[i] = true;
      returns.add(episode_returns[i]);
      lengths.add(episode_lengths[i]);
    }
  }
}

// Two samples of the same distribution: their means differ by less than 2.576 standard errors of the difference in 99 of 100
// cases. Our seeds are fixed, so the test gives the same answer each time. (Where all episodes have the same length the error
// is 0, and the lengths must be equal.)
TYPED_TEST(MinAtarTest, RandomPlayIsEqualInDistribution) {
  const std::string path = data_path(std::string(MinAtarGame<TypeParam>::kName) + "_random.json");
  std::ifstream file(path);
  ASSERT_TRUE(file) << "cannot read " << path;
  const nlohmann::json theirs = nlohmann::json::parse(file);
  const int episodes = theirs.at("episodes");
  ASSERT_GE(episodes, 10000);
  Sample returns, lengths;
  play_random<TypeParam>(episodes, returns, lengths);
  const auto compare = [&](const std::string& what, const Sample& ours) {
    const double deviation = theirs.at(what + "_std"), mean = theirs.at(what + "_mean");
    const double error = std::sqrt(ours.variance() / ours.count + deviation * deviation / episodes);
    std::printf("%s: %s %.4f, the package's %.4f, standard error %.4f\n", TypeParam::info.id,
                what.c_str(), ours.mean(), mean, error);
    EXPECT_LE(std::abs(ours.mean() - mean), 2.576 * error) << what;
  };
  compare("return", returns);
  compare("length", lengths);
}

}  // namespace
}  // namespace rollmill
