// MyEnv: its rules, said once more in another way, and the promises of every environment.
#include "envs/template/my_env.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "envs/contract/checks.h"
#include "envs/cpu_entry.h"

namespace rollmill {
namespace {

using Env = MyEnv;

TEST(MyEnv, KeepsThePromisesOfEveryEnvironment) {
  for (const contract::Check& check : contract::contract_checks()) {
    std::vector<std::string> broken;
    check.run(cpu_entry<Env>(), broken);
    for (const std::string& what : broken) ADD_FAILURE() << check.name << ": " << what;
  }
}

// Outcomes of chance are put in by hand.
TEST(MyEnv, MovesAndIsPushed) {
  const Env::Params p;
  Env::State s{4, 6};
  EXPECT_EQ(Env::apply(s, p, 1, {true}).reason, 0u);  // one to the right, one back
  EXPECT_EQ(s.position, 4);
  Env::apply(s, p, 1, {false});
  const Transition last = Env::apply(s, p, 1, {false});
  EXPECT_EQ(s.position, 6);
  EXPECT_EQ(last.reason, 1u);
  EXPECT_EQ(last.reward, 1.0f);
  Env::State at_wall{0, 6};
  Env::apply(at_wall, p, 0, {true});
  EXPECT_EQ(at_wall.position, 0);
}

// Without wind the expert takes the shortest way, whatever the level.
TEST(MyEnv, ExpertTakesTheShortestWay) {
  Env::Params p;
  p.wind = 0.0f;
  for (std::uint32_t episode = 0; episode < 10000; ++episode) {
    p.length = 2 + static_cast<std::int32_t>(episode % 63);
    Rng rng(1, Purpose::kTest, 0, episode, 0);
    Env::State s{};
    Env::reset(s, p, rng);
    const int distance = std::abs(s.flag - s.position);
    ASSERT_GT(distance, 0);
    std::uint32_t reason = 0;
    for (int t = 0; t < distance; ++t) {
      ASSERT_EQ(reason, 0u);
      reason = Env::step(s, p, Env::expert(s, p), rng).reason;
    }
    ASSERT_EQ(reason, 1u);
  }
}

}  // namespace
}  // namespace rollmill
