// Branching: the factual side is the episode as it is; the other differs by its action alone.
#include "evaluation/branch.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "generators/scripted_policy.h"

namespace rollmill {
namespace {

BatchConfig config(std::uint32_t episode) {
  BatchConfig c;
  c.seed = 5;
  c.environment_stride = 0;
  c.first_episode = episode;
  return c;
}

TEST(Branch, TheFactualSideIsTheEpisodeAsItWas) {
  const EnvEntry& entry = find_env("CartPole-v1");
  const RandomPolicy policy(entry.spec(), 3);
  for (const std::uint32_t episode : {0u, 1u, 9u}) {
    const BranchReport whole = branch_episode(entry, config(episode), policy, {0, {0.0}, 1000});
    ASSERT_EQ(whole.factual.outcome.empty(), false);
    const BranchReport later = branch_episode(entry, config(episode), policy, {4, {1.0}, 1000});
    EXPECT_EQ(later.factual.length, whole.factual.length);
    EXPECT_EQ(later.factual.episode_return, whole.factual.episode_return);
    EXPECT_EQ(later.factual.outcome, whole.factual.outcome);
  }
}

TEST(Branch, TheSameActionMakesNoDifferenceAndAnotherOneDoes) {
  const EnvEntry& entry = find_env("CartPole-v1");
  const ScriptedPolicy policy;
  const BranchReport r = branch_episode(entry, config(2), policy, {10, {0.0}, 50});
  const double taken = r.factual.action[0];
  const BranchReport same = branch_episode(entry, config(2), policy, {10, {taken}, 50});
  EXPECT_EQ(same.first_difference, -1);
  EXPECT_EQ(same.counterfactual.end, same.factual.end);
  const BranchReport other = branch_episode(entry, config(2), policy, {10, {1.0 - taken}, 50});
  EXPECT_EQ(other.first_difference, 10);
  EXPECT_NE(other.counterfactual.state, other.factual.state);
  EXPECT_EQ(other.state, same.state);
}

TEST(Branch, ImpossibleOnesAreRefused) {
  const EnvEntry& entry = find_env("CartPole-v1");
  const RandomPolicy policy(entry.spec(), 3);
  for (const BranchOptions& o :
       {BranchOptions{5, {2.0}, 10}, {5, {0.5}, 10}, {5, {0.0, 1.0}, 10}, {400, {0.0}, 10}}) {
    EXPECT_THROW(branch_episode(entry, config(0), policy, o), Error);
  }
}

}  // namespace
}  // namespace rollmill
