#include "generators/play_session.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace rollmill {
namespace {

using Answer = PlaySession::Answer;

PlaySession start(const std::string& id) {
  BatchConfig config;
  config.seed = 3;
  config.first_episode = 5;
  return PlaySession(find_env(id), config);
}

float observed(PlaySession& session, int word) {
  return __builtin_bit_cast(float, session.episode().batch().state_words(0)[word]);
}

TEST(PlaySession, KeysAreTheEnvironmentsOwnAndDigits) {
  PlaySession left = start("CartPole-v1"), digit = start("CartPole-v1");
  PlaySession right = start("CartPole-v1");
  EXPECT_EQ(left.press('a'), Answer::kDone);
  EXPECT_EQ(digit.press('0'), Answer::kDone);
  EXPECT_EQ(right.press('d'), Answer::kDone);
  EXPECT_EQ(left.episode().save().words, digit.episode().save().words);
  EXPECT_LT(observed(left, 1), observed(right, 1));  // the cart's velocity
  EXPECT_EQ(left.press('x'), Answer::kNoSuchKey);
  EXPECT_EQ(left.press('2'), Answer::kNoSuchKey);
  EXPECT_EQ(left.episode().steps(), 1);
}

TEST(PlaySession, RealNumbersGoToTheEndsOfTheirRanges) {
  PlaySession low = start("Pendulum-v1"), none = start("Pendulum-v1"), high = start("Pendulum-v1");
  EXPECT_EQ(low.press('a'), Answer::kDone);
  EXPECT_EQ(none.press(' '), Answer::kDone);
  EXPECT_EQ(high.press('d'), Answer::kDone);
  // A torque changes the speed by 3 torque timestep = 0.3, give or take float32's rounding of speeds below 8.
  EXPECT_NEAR(observed(none, 1) - observed(low, 1), 0.3, 4e-6);
  EXPECT_NEAR(observed(high, 1) - observed(none, 1), 0.3, 4e-6);
  EXPECT_EQ(low.press('s'), Answer::kNoSuchKey);
}

TEST(PlaySession, EndsAndGoesOn) {
  PlaySession session = start("CartPole-v1");
  while (session.press('d') == Answer::kDone) {}
  EXPECT_EQ(session.press('a'), Answer::kEnded);
  EXPECT_EQ(session.episode().outcome(), "pole_fell");
  const auto end = session.episode().save().words;
  EXPECT_EQ(session.press('n'), Answer::kDone);
  EXPECT_EQ(session.episode_number(), 6u);
  EXPECT_EQ(session.press('u'), Answer::kDone);
  EXPECT_EQ(session.episode_number(), 5u);
  EXPECT_EQ(session.episode().save().words, end);
  EXPECT_TRUE(session.episode().ended());
  EXPECT_EQ(session.press('r'), Answer::kDone);
  EXPECT_EQ(session.episode().save().words, start("CartPole-v1").episode().save().words);
}

// Any keys in any order, then as many undos: every state comes back, in every environment.
TEST(PlaySession, UndoesEverything) {
  std::mt19937 random(1);
  for (const EnvEntry& entry : env_registry()) {
    BatchConfig config;
    config.seed = 3;
    PlaySession session(entry, config);
    std::vector<std::vector<std::uint32_t>> states = {session.episode().save().words};
    int actions = 0;
    for (int k = 0; k < 400; ++k) {
      const unsigned roll = random() % 100;
      const char key = roll == 0 ? 'r' : roll == 1 ? 'n' : static_cast<char>(' ' + random() % 95);
      if (key == 'u' || session.press(key) != Answer::kDone) continue;
      states.push_back(session.episode().save().words);
      ++actions;
    }
    EXPECT_GT(actions, 4) << entry.id;
    for (std::size_t k = states.size() - 1; k-- > 0;) {
      ASSERT_EQ(session.press('u'), Answer::kDone) << entry.id;
      ASSERT_EQ(session.episode().save().words, states[k]) << entry.id << ' ' << k;
    }
    EXPECT_EQ(session.press('u'), Answer::kNothingToUndo);
  }
}

// Every choice of every environment has a key, as long as keys last; the help names an action of each column.
TEST(PlaySession, EveryActionHasAKey) {
  for (const EnvEntry& entry : env_registry()) {
    const EnvSpec spec = entry.spec();
    PlaySession session(entry, {});
    int known = 0;
    for (char key = ' '; key <= '~'; ++key) {
      if (std::string("run").find(key) != std::string::npos) continue;
      PlaySession fresh(entry, {});
      known += fresh.press(key) == Answer::kNoSuchKey ? 0 : 1;
    }
    EXPECT_GE(known, std::min(spec.total_choices(), 32)) << entry.id;
    for (const FieldSpec& action : spec.action) {
      EXPECT_NE(session.help().find(action.name), std::string::npos) << entry.id;
    }
  }
}

TEST(PlaySession, RefusesWhatTheMaskForbids) {
  int masked = 0;
  for (const EnvEntry& entry : env_registry()) {
    const EnvSpec spec = entry.spec();
    if (spec.mask_columns == 0 || !spec.single_choice() || spec.choices[0] > 10) continue;
    ++masked;
    BatchConfig config;
    PlaySession session(entry, config);
    for (int choice = 0; choice < spec.choices[0]; ++choice) {
      const bool allowed = session.episode().allowed(choice);
      const Answer answer = session.press(static_cast<char>('0' + choice));
      EXPECT_EQ(answer, allowed ? Answer::kDone : Answer::kNotAllowed) << entry.id << choice;
      if (allowed) session.press('u');
    }
  }
  EXPECT_GT(masked, 0) << "no registered environment has a mask";
}

}  // namespace
}  // namespace rollmill
