#include "evaluation/sweep/halving.h"

#include <gtest/gtest.h>

namespace rollmill {
namespace {

std::vector<std::pair<std::int64_t, std::int64_t>> rungs(std::int64_t trials, int eta,
                                                         std::int64_t low, std::int64_t high) {
  std::vector<std::pair<std::int64_t, std::int64_t>> all;
  for (const Rung& r : halving_rungs(trials, eta, low, high)) all.emplace_back(r.trials, r.steps);
  return all;
}
using Rungs = std::vector<std::pair<std::int64_t, std::int64_t>>;

// The most aggressive bracket of Hyperband's table 1 (Li et al. 2018): R = 81, eta = 3, 81 configurations.
TEST(Halving, IsHyperbandsBracket) {
  EXPECT_EQ(rungs(81, 3, 1, 81), (Rungs{{81, 1}, {27, 3}, {9, 9}, {3, 27}, {1, 81}}));
  EXPECT_EQ(rungs(27, 3, 3, 81), (Rungs{{27, 3}, {9, 9}, {3, 27}, {1, 81}}));
}

TEST(Halving, EndsWithAllStepsAndNeverBelowTheLeast) {
  EXPECT_EQ(rungs(8, 2, 100, 1000), (Rungs{{8, 125}, {4, 250}, {2, 500}, {1, 1000}}));
  EXPECT_EQ(rungs(100, 3, 30, 100), (Rungs{{100, 34}, {33, 100}}));
  // One trial left: nothing is compared any more.
  EXPECT_EQ(rungs(4, 3, 1, 81), (Rungs{{4, 1}, {1, 81}}));
  EXPECT_EQ(rungs(1, 3, 1, 81), (Rungs{{1, 81}}));
  EXPECT_EQ(rungs(9, 3, 50, 81), (Rungs{{9, 81}}));
}

TEST(Halving, TheBestGoOn) {
  const std::vector<TrialScore> scores = {
      {0, 1.0}, {1, 5.0}, {2, std::nullopt}, {3, 5.0}, {4, -2.0}};
  EXPECT_EQ(halving_survivors(scores, 1), (std::vector<std::int64_t>{1}));  // of equals the first
  EXPECT_EQ(halving_survivors(scores, 2), (std::vector<std::int64_t>{1, 3}));
  EXPECT_EQ(halving_survivors(scores, 3), (std::vector<std::int64_t>{0, 1, 3}));
  EXPECT_EQ(halving_survivors(scores, 5),
            (std::vector<std::int64_t>{0, 1, 3, 4}));  // none that failed
  EXPECT_TRUE(halving_survivors({{0, std::nullopt}}, 3).empty());
}

}  // namespace
}  // namespace rollmill
