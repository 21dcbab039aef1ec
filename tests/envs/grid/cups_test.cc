// Cups: the expert finds every ball, a policy without memory finds one in k, and each swap can be seen.
#include "envs/grid/cups_open.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>

#include "tests/envs/grid/levels.h"

namespace rollmill {
namespace {

using test::BestFunction;
using test::Level;

Cups::State at_go(Level<Cups> level) {
  while (!Cups::is_go(level.state, level.params)) {
    Rng rng(1, Purpose::kStep, 0, 0, 0);
    EXPECT_EQ(Cups::step(level.state, level.params, 0, rng).reason, 0u);
  }
  return level.state;
}

TEST(Cups, ExpertSolvesEveryLevel) {
  for (std::uint32_t number = 0; number < 10000; ++number) {
    Level<Cups> level = test::make_level<Cups>(number);
    const test::Ended ended = test::play_expert(level);
    ASSERT_EQ(ended.reason, 1u) << "level " << number;
    ASSERT_EQ(ended.episode_return, 1.0f);
  }
}

// The control: with hindsight, the best function from the last picture to an answer. For k cups and n levels its score is a
// maximum of k binomial counts; their standard deviation is below sqrt(1 / (k n)), and five of them are allowed for.
TEST(Cups, WithoutMemoryOneInK) {
  constexpr int kLevels = 10000;
  for (int cups = 2; cups <= Cups::kPlaces; ++cups) {
    BestFunction<test::ObservationWords<Cups>> last_picture;
    for (std::uint32_t number = 0; number < kLevels; ++number) {
      Rng rng(1, Purpose::kParameters, 0, number, 0);
      Cups::Params params = test::draw_params<Cups>(rng);
      params.cups = cups;
      const Cups::State s = at_go(test::make_level<Cups>(number, params));
      last_picture.add(test::observe<Cups>(s, params), Cups::expert(s, params));
    }
    EXPECT_EQ(last_picture.keys(), 1u);  // the same picture, whatever happened before
    EXPECT_LT(last_picture.success(), 1.0 / cups + 5 * std::sqrt(1.0 / (cups * double{kLevels})));
    // 0.9999 quantile of chi-square with 7 degrees of freedom: 29.9; with fewer it is lower.
    EXPECT_LT(test::chi_square(last_picture.cases().begin()->second, cups), 29.9) << cups;
  }
}

// States that differ only in what is hidden look the same from the moment the ball is covered, go signal and mask included.
TEST(Cups, NothingLeaksOnceTheBallIsCovered) {
  for (std::uint32_t number = 0; number < 300; ++number) {
    Level<Cups> level = test::make_level<Cups>(number);
    const Cups::Params& p = level.params;
    for (int t = 0; t < Cups::info.time_limit; ++t) {
      for (int other = 0; level.state.event >= 0 && other < p.cups; ++other) {
        Cups::State twin = level.state;
        twin.ball = other;
        ASSERT_EQ(test::observe<Cups>(twin, p), test::observe<Cups>(level.state, p));
        Word mask[2];
        Cups::mask(level.state, p, Words{&mask[0], 1});
        Cups::mask(twin, p, Words{&mask[1], 1});
        ASSERT_EQ(mask[0], mask[1]);
      }
      Rng rng(1, Purpose::kStep, 0, number, static_cast<std::uint32_t>(t));
      if (Cups::step(level.state, p, 0, rng).reason != 0) break;
    }
  }
}

// Someone who sees the pictures only, and knows nothing of the state, can follow the ball: the test's own tracker reads the
// places that became empty, and takes a swap for a false one if no cup ever stood in front.
TEST(Cups, PicturesAreEnoughToFollowTheBall) {
  for (std::uint32_t number = 0; number < 2000; ++number) {
    Level<Cups> level = test::make_level<Cups>(number);
    int ball = -1;
    Word table_before = 0;
    bool in_front = false, in_motion = false;
    Word gone = 0;
    const auto policy = [&](const Cups::State& s, const Cups::Params& p) -> Cups::Action::Value {
      const auto o = test::observe<Cups>(s, p);
      const Word table = o[0] >> 16, front = o[1] & 0xFFFFu, seen = o[2] & 0xFFFFu;
      if (seen != 0) {
        ball = __builtin_ctz(seen) / 2;
        table_before = table | seen;
        return 0;
      }
      if (table != table_before) {
        in_motion = true;
        gone = table_before & ~table;
        in_front = in_front || front != 0;
      } else if (in_motion) {
        const int a = __builtin_ctz(gone) / 2, b = (31 - __builtin_clz(gone)) / 2;
        if (in_front) ball = ball == a ? b : ball == b ? a : ball;
        in_motion = in_front = false;
      }
      return o[3] != 0 ? 1 + ball : 0;
    };
    const auto nothing = [](const auto&, const auto&, const auto&) {};
    ASSERT_EQ(test::play(level, policy, nothing).reason, 1u) << "level " << number;
  }
}

TEST(Cups, EndsForEachReason) {
  Cups::Params params;
  const Level<Cups> level = test::make_level<Cups>(5, params);
  const Cups::State go = at_go(level);
  Rng rng(1, Purpose::kStep, 0, 0, 0);
  const auto reason = [&](Cups::State s, int action) {
    return Cups::step(s, params, action, rng).reason;
  };
  for (int place = 0; place < Cups::kPlaces; ++place) {
    const std::uint32_t expected = place >= params.cups ? 4u : place == go.ball ? 1u : 2u;
    EXPECT_EQ(reason(go, 1 + place), expected);
    EXPECT_EQ(reason(level.state, 1 + place), 4u);  // too early
  }
  params.strict = 0;
  EXPECT_EQ(reason(go, Cups::kPlaces), 0u);
  EXPECT_EQ(reason(level.state, 1), 0u);
  Cups::State waiting = go;
  for (int t = 1; t < params.patience; ++t)
    EXPECT_EQ(Cups::step(waiting, params, 0, rng).reason, 0u);
  EXPECT_EQ(Cups::step(waiting, params, 0, rng).reason, 3u);
}

// The longest episode there is takes time_limit steps.
TEST(Cups, TimeLimitIsNeverShort) {
  Cups::Params p;
  p.visit([](const FieldInfo& f, auto& value) {
    value = static_cast<std::remove_reference_t<decltype(value)>>(f.high);
  });
  Level<Cups> level = test::make_level<Cups>(1, p);
  const auto wait = [](const auto&, const auto&) { return 0; };
  const test::Ended ended = test::play(level, wait, [](const auto&, const auto&, const auto&) {});
  EXPECT_EQ(ended.reason, 3u);
  EXPECT_EQ(ended.steps, Cups::info.time_limit);
}

// Swaps fall on every pair alike, false ones as often as the parameter says.
TEST(Cups, SwapsAreUniform) {
  Cups::Params p;
  p.cups = 4;
  p.swaps = Cups::kMaxSwaps;
  p.false_swaps = 0.25f;
  std::map<std::int32_t, std::int64_t> pairs;
  std::int64_t put_back = 0;
  constexpr int kLevels = 2000;
  for (std::uint32_t number = 0; number < kLevels; ++number) {
    const Cups::State s = test::make_level<Cups>(number, p).state;
    for (int e = 0; e < p.swaps; ++e) {
      const Cups::Swap swap = Cups::swap_at(s, e);
      ASSERT_LT(swap.left, swap.right);
      ASSERT_LT(swap.right, p.cups);
      ++pairs[swap.left * 8 + swap.right];
      put_back += swap.put_back() ? 1 : 0;
    }
  }
  EXPECT_LT(test::chi_square(pairs, 6), 25.7);  // 0.9999 quantile, 5 degrees of freedom
  const double n = kLevels * double{Cups::kMaxSwaps};
  EXPECT_NEAR(static_cast<double>(put_back) / n, 0.25, 4 * std::sqrt(0.25 * 0.75 / n));
}

// CupsOpen is Cups and one plane more: the place that the expert will point at, from the first picture to the last.
TEST(Cups, OpenShowsTheSameAndTheBallsPlace) {
  for (std::uint32_t number = 0; number < 200; ++number) {
    Level<Cups> level = test::make_level<Cups>(number);
    for (int t = 0; t < Cups::info.time_limit; ++t) {
      Word shut[5], open[6];
      Cups::observe(level.state, level.params, {shut, 1});
      CupsOpen::observe(level.state, level.params, {open, 1});
      for (int w = 0; w < 5; ++w) ASSERT_EQ(open[w], shut[w]);
      ASSERT_EQ(open[5], 1u << (2 * level.state.ball));
      const Cups::Action::Value action = Cups::expert(level.state, level.params);
      ASSERT_TRUE(action == 0 || action == level.state.ball + 1);
      Rng rng(1, Purpose::kStep, 0, 0, 0);
      if (Cups::step(level.state, level.params, action, rng).reason != 0) break;
    }
  }
}

}  // namespace
}  // namespace rollmill
