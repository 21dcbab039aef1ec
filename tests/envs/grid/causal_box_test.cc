// CausalBox: the experimenter solves every box from its tests alone, nobody answers without memory of tests, and the
// confounder can be told from a cause.
#include "envs/grid/causal_box.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>

#include "tests/envs/grid/levels.h"

namespace rollmill {
namespace {

using test::BestFunction;
using test::Level;
using test::make_level;
using State = CausalBox::State;
using Params = CausalBox::Params;

Transition act(State& s, const Params& p, int action) {
  Rng rng(1, Purpose::kStep, 0, 0, 0);
  return CausalBox::step(s, p, action, rng);
}

TEST(CausalBox, ExpertSolvesEveryLevel) {
  std::int64_t tests = 0, budget = 0;
  for (std::uint32_t number = 0; number < 10000; ++number) {
    Level<CausalBox> level = make_level<CausalBox>(number);
    const test::Ended ended = test::play_expert(level);
    ASSERT_EQ(ended.reason, CausalBox::kSolved) << "level " << number;
    tests += ended.steps - 2;
    budget += CausalBox::budget(level.params);
  }
  EXPECT_LT(tests, budget / 2);  // it does not simply go through all settings
}

// A box with other wiring that has shown the same so far makes the experimenter do the same.
TEST(CausalBox, ExpertUsesOnlyWhatItHasSeen) {
  int compared = 0;
  for (std::uint32_t number = 0; number < 1000; ++number) {
    Level<CausalBox> level = make_level<CausalBox>(number);
    const auto see = [&](const State& s, const Params& p, int action) {
      if (s.asking != 0) return;
      Rng rng(2, Purpose::kTest, number, s.tests, 0);
      State twin = s;
      for (std::uint32_t& table : twin.table) table ^= rng.bits() & ~s.seen;
      if (!s.told()) twin.cause ^= 8u;
      twin.question ^= rng.bits();
      ASSERT_EQ(test::observe<CausalBox>(s, p), test::observe<CausalBox>(twin, p));
      ASSERT_EQ(CausalBox::expert(twin, p), action);
      ++compared;
    };
    test::play(
        level, [](const State& s, const Params& p) { return CausalBox::expert(s, p); }, see);
  }
  EXPECT_GT(compared, 3000);
}

// The control: the best function from what is seen in the answering phase to answers, with hindsight, over the experimenter's
// own boxes. n cases on each of K keys win sqrt(K / n) / 2.5 or so by hindsight alone (half the mean deviation of a coin).
TEST(CausalBox, AnswersAreACoinWithoutMemory) {
  Params p;
  p.lamps = 1;
  p.switches = 3;
  BestFunction<test::ObservationWords<CausalBox>> last;
  constexpr int kLevels = 20000;
  for (std::uint32_t number = 0; number < kLevels; ++number) {
    Level<CausalBox> level = make_level<CausalBox>(number, p);
    const auto see = [&](const State& s, const Params&, int action) {
      if (s.asking != 0) last.add(test::observe<CausalBox>(s, p), action);
    };
    test::play(
        level, [](const State& s, const Params& q) { return CausalBox::expert(s, q); }, see);
  }
  const double keys = static_cast<double>(last.keys());
  EXPECT_LE(last.keys(), 8u + 3u);
  EXPECT_LT(last.success(), 0.5 + std::sqrt(keys / kLevels));
}

// All memoryless policies of a small box (two switches, one lamp on a wire), tried one by one: in each of the twelve
// pictures of phase 1 one of three actions, in each of the four questions the better answer with hindsight. Each plays all
// boxes there are: four wires and four first settings, each question as likely as the reset makes it.
struct SmallBox {
  Params p;
  std::vector<State> boxes;
  SmallBox() {
    p.switches = 2;
    p.lamps = 1;
    p.gates = p.chain = p.confounder = 0;
    for (std::uint32_t setting = 0; setting < 4; ++setting) {
      for (int wire = 0; wire < 4; ++wire) {
        State s{};
        s.setting = setting;
        s.table[0] = causal_box::variable(wire / 2) ^ (wire % 2 != 0 ? ~0u : 0u);
        boxes.push_back(s);
      }
    }
  }
  // 0..3 in the dark, 4..11 lit.
  int picture(const State& s) const {
    const auto o = test::observe<CausalBox>(s, p);
    const auto setting = static_cast<int>(o[1] + 2 * o[2]);
    return o[6] == 2 ? setting : 4 + setting + 4 * static_cast<int>(o[6]);
  }
};

TEST(CausalBox, NoMemorylessPolicyBeatsTheCoin) {
  const SmallBox small;
  // Where each box goes from each (setting, lit or dark): found by stepping it.
  constexpr int kBoxes = 16, kActions = 3;
  int start[kBoxes], next[kBoxes][8][2], picture[kBoxes][8];
  for (int b = 0; b < kBoxes; ++b) {
    start[b] = static_cast<int>(small.boxes[b].setting);
    for (std::uint32_t node = 0; node < 8; ++node) {
      State s = small.boxes[b];
      s.setting = node & 3u;
      s.tests = node >> 2;
      picture[b][node] = small.picture(s);
      for (int a = 0; a < 2; ++a) {
        State t = s;
        ASSERT_EQ(act(t, small.p, a).reason, 0u);
        next[b][node][a] = static_cast<int>(t.setting + 4);
      }
    }
  }
  double best = 0;
  int policies = 1;
  for (int k = 0; k < 12; ++k) policies *= kActions;
  for (int policy = 0; policy < policies; ++policy) {
    int choice[12];
    for (int k = 0, rest = policy; k < 12; ++k, rest /= kActions) choice[k] = rest % kActions;
    int on[4] = {}, off[4] = {};  // boxes that reach question x, by the right answer
    for (int b = 0; b < kBoxes; ++b) {
      int node = start[b], tests = 0;
      while (tests <= 4 && choice[picture[b][node]] != 2) {
        node = next[b][node][choice[picture[b][node]]];
        ++tests;
      }
      if (tests > 4) continue;  // never ready: not solved
      for (int x = 0; x < 4; ++x) ++((small.boxes[b].table[0] >> x & 1u) != 0 ? on : off)[x];
    }
    int right = 0;
    for (int x = 0; x < 4; ++x) right += std::max(on[x], off[x]);
    best = std::max(best, right / double{kBoxes * 4});
  }
  EXPECT_EQ(best, 0.5);
}

// Without a test there is nothing to know: for every question both answers are as frequent. Counts of a fair coin; five
// standard deviations.
TEST(CausalBox, QuestionsDoNotGiveAnswersAway) {
  std::map<std::uint32_t, std::array<int, 2>> counts;
  Params p;
  p.switches = 3;
  for (std::uint32_t number = 0; number < 40000; ++number) {
    const State s = make_level<CausalBox>(number, p).state;
    ++counts[s.question & 0x3FFu][s.answer()];
  }
  EXPECT_EQ(counts.size(), 8u * 3u + 3u);
  for (const auto& [question, count] : counts) {
    const double n = count[0] + count[1];
    EXPECT_GT(n, 300);
    EXPECT_LT(std::abs(count[1] - n / 2), 5 * std::sqrt(n) / 2) << question;
  }
}

// By hand: lamp 1 = switch 1 AND NOT switch 2.
TEST(CausalBox, TestsCostAndWastedOnesCostMore) {
  Params p;
  p.switches = 2;
  p.lamps = 1;
  p.confounder = 0;
  State s{};
  s.table[0] = 0xAAAAAAAAu & ~0xCCCCCCCCu;
  s.question = 1u | CausalBox::kDo << 8 | 1u << 10;  // switch 1 on, 2 off: yes
  const auto lamp = [&] { return test::observe<CausalBox>(s, p)[6]; };
  EXPECT_EQ(lamp(), 2u);  // dark
  EXPECT_EQ(act(s, p, 0).reward, -p.test_cost);
  EXPECT_EQ(lamp(), 1u);
  EXPECT_EQ(act(s, p, 1).reward, -p.test_cost);
  EXPECT_EQ(lamp(), 0u);
  EXPECT_EQ(act(s, p, 1).reward, -(p.test_cost + p.wasted_cost));  // back again
  EXPECT_EQ(lamp(), 1u);
  EXPECT_EQ(act(s, p, 0).reward, -p.test_cost);
  Word mask = 0;
  CausalBox::mask(s, p, {&mask, 1});
  EXPECT_EQ(mask, 1u << CausalBox::kReady);  // four tests are all
  State late = s;
  EXPECT_EQ(act(late, p, 0).reason, CausalBox::kIllegal);
  late = s;
  EXPECT_EQ(act(late, p, CausalBox::kYes).reason, CausalBox::kIllegal);
  EXPECT_EQ(act(s, p, CausalBox::kReady).reason, 0u);
  EXPECT_EQ(lamp(), 2u);  // covered
  CausalBox::mask(s, p, {&mask, 1});
  EXPECT_EQ(mask, 1u << CausalBox::kNo | 1u << CausalBox::kYes);
  State other = s;
  const Transition wrong = act(other, p, CausalBox::kNo);
  EXPECT_EQ(wrong.reason, CausalBox::kWrong);
  EXPECT_EQ(wrong.reward, -1.0f);
  const Transition solved = act(s, p, CausalBox::kYes);
  EXPECT_EQ(solved.reason, CausalBox::kSolved);
  EXPECT_EQ(solved.reward, 1.0f);
}

// Cause or common cause: both look the same until the switch has been touched and left alone for one more test.
TEST(CausalBox, ConfounderShowsOnlyToAnIntervention) {
  int boxes = 0;
  for (std::uint32_t number = 0; number < 2000; ++number) {
    Level<CausalBox> level = make_level<CausalBox>(number);
    const Params& p = level.params;
    if (p.confounder == 0) continue;
    ++boxes;
    State a = level.state, b = level.state;
    a.cause |= 8u;
    b.cause &= ~8u;
    const int follower = static_cast<int>(a.cause & 7u);
    const int other = follower == 0 ? 1 : 0;
    for (const int action : {other, other, follower, other}) {
      ASSERT_EQ(test::observe<CausalBox>(a, p), test::observe<CausalBox>(b, p));
      act(a, p, action);
      act(b, p, action);
    }
    ASSERT_NE(test::observe<CausalBox>(a, p)[10], test::observe<CausalBox>(b, p)[10]);
    ASSERT_TRUE(a.told() && b.told());
  }
  EXPECT_GT(boxes, 500);
}

// Gates as their names say, for every pair of switches.
TEST(CausalBox, TablesAreTheGates) {
  using namespace causal_box;
  for (std::uint32_t x = 0; x < 32; ++x) {
    for (int i = 0; i < 5; ++i) {
      const bool a = (x >> i & 1u) != 0;
      ASSERT_EQ((variable(i) >> x & 1u) != 0, a);
      for (int k = 0; k < 5; ++k) {
        const bool b = (x >> k & 1u) != 0;
        const auto at = [&](std::uint32_t kind) {
          return (gate(kind, variable(i), variable(k)) >> x & 1u) != 0;
        };
        ASSERT_EQ(at(0), a);
        ASSERT_EQ(at(1), a && b);
        ASSERT_EQ(at(2), a || b);
        ASSERT_EQ(at(3), a != b);
      }
    }
  }
}

TEST(CausalBox, LampsDependOnSwitchesThatExist) {
  for (std::uint32_t number = 0; number < 5000; ++number) {
    const Level<CausalBox> level = make_level<CausalBox>(number);
    for (int j = 0; j < level.params.lamps; ++j) {
      const std::uint32_t table = level.state.table[j];
      ASSERT_NE(table, 0u);
      ASSERT_NE(table, ~0u);
      for (int i = level.params.switches; i < 5; ++i) {
        const int width = 1 << i;
        ASSERT_EQ((table ^ table >> width) & ~causal_box::variable(i), 0u);
      }
    }
  }
}

}  // namespace
}  // namespace rollmill
