// The players of Asterix and Seaquest, who search their own games: far better than random play, of which the package's mean
// returns are 0.5 and 0.1 (tests/oracle/data/minatar_*_random.json).
#include <gtest/gtest.h>

#include "envs/minatar/asterix.h"
#include "envs/minatar/seaquest.h"

namespace rollmill {
namespace {

template <class Env>
double mean_return(int episodes, int limit) {
  const typename Env::Params p;  // sticky actions, ramping
  double sum = 0;
  for (int e = 0; e < episodes; ++e) {
    const auto episode = static_cast<std::uint32_t>(e);
    typename Env::State s{};
    Rng start(1, Purpose::kReset, 0, episode, 0);
    Env::reset(s, p, start);
    for (int t = 0; t < limit; ++t) {
      Rng rng(1, Purpose::kStep, 0, episode, static_cast<std::uint32_t>(t));
      const Transition result = Env::step(s, p, Env::expert(s, p), rng);
      sum += static_cast<double>(result.reward);
      if (result.reason != 0) break;
    }
  }
  return sum / episodes;
}

TEST(MinAtarExpert, AsterixCollectsGold) { EXPECT_GT(mean_return<Asterix>(40, 2000), 8.0); }
TEST(MinAtarExpert, SeaquestShootsAndSurfaces) { EXPECT_GT(mean_return<Seaquest>(40, 2000), 10.0); }

// The six actions hold the five of the minimal set: the same player.
TEST(MinAtarExpert, ActionSetsAgree) {
  EXPECT_EQ(mean_return<Asterix>(3, 300), mean_return<AsterixSix>(3, 300));
  EXPECT_EQ(mean_return<Seaquest>(3, 300), mean_return<SeaquestSix>(3, 300));
}

}  // namespace
}  // namespace rollmill
