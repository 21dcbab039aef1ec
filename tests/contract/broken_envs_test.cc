// Each defect of broken_envs.h is found by the check that is meant to find it, in words that name it; MyEnv without a defect
// passes all (tests/envs/template).
#include "tests/contract/broken_envs.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "envs/contract/checks.h"
#include "envs/cpu_entry.h"

namespace rollmill {
namespace {

struct Defect {
  EnvEntry entry;
  const char* check;  // that must break
  const char* words;  // in one of its sentences
};

template <class Env>
Defect defect(const char* check, const char* words) {
  return {cpu_entry<Env>(), check, words};
}

std::vector<Defect> defects() {
  using namespace broken;
  return {defect<WritesBeyondObservation>("outputs", "writes beyond the observation"),
          defect<LeavesObservationUnwritten>("outputs", "observation word is not written"),
          defect<RemembersEpisodes>("repeatable", "static variables"),
          defect<RemembersEpisodes>("fresh_episodes", "nothing may live outside the state"),
          defect<ResetVaries>("shortcuts", "every reset gives one state"),
          defect<ShorterStepDiffers>("shortcuts", "step_usual"),
          defect<CallsRand>("repeatable", "rand()"),
          defect<ReadsTheClock>("repeatable", "clock"),
          defect<DependsOnThread>("threads", "thread-local"),
          defect<RewardIsNotFinite>("values", "NaN or infinite"),
          defect<RewardOutOfRange>("values", "reward 2 "),
          defect<ObservationOutOfRange>("values", "outside its declared range"),
          defect<MaskAllowsNothing>("masks", "allows no action"),
          defect<MaskHasBitsBeyond>("masks", "beyond the choices"),
          defect<ExpertIsMasked>("expert", "does not exist or is masked"),
          defect<ReasonWithoutName>("outputs", "no name in EnvInfo::outcomes")};
}

TEST(BrokenEnvs, EachDefectIsNamed) {
  for (const Defect& d : defects()) {
    std::string said;
    for (const contract::Check& check : contract::contract_checks()) {
      if (std::string(check.name) != d.check) continue;
      std::vector<std::string> broken;
      check.run(d.entry, broken);
      for (const std::string& what : broken) said += what + '\n';
    }
    EXPECT_NE(said.find(d.words), said.npos)
        << d.entry.id << ", " << d.check << ": '" << said << "'";
  }
}

// Not one check alone: an author who reads only the first complaint still reads about the defect's class.
TEST(BrokenEnvs, DefectsOfOneKindBreakNoOtherKind) {
  const EnvEntry entry = cpu_entry<broken::RewardOutOfRange>();
  for (const contract::Check& check : contract::contract_checks()) {
    std::vector<std::string> broken;
    check.run(entry, broken);
    EXPECT_EQ(broken.empty(), std::string(check.name) != "values") << check.name;
  }
}

}  // namespace
}  // namespace rollmill
