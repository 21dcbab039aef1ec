// What every registered environment promises, whoever wrote it: envs/contract/checks.h on each. New environments are
// covered by registering them.
#include <gtest/gtest.h>

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <tuple>
#include <vector>

#include "envs/contract/checks.h"

namespace rollmill {
namespace {

std::string test_name(const std::string& id) {
  std::string name = id;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}

// By index, so that the test's name holds no pointer.
using Case = std::tuple<std::size_t, std::size_t>;  // environment, check

class ContractTest : public testing::TestWithParam<Case> {};

std::string case_name(const testing::TestParamInfo<Case>& info) {
  const auto [env, check] = info.param;
  return test_name(env_registry()[env].id) + "_" + contract::contract_checks()[check].name;
}

TEST_P(ContractTest, Holds) {
  const auto [env, check] = GetParam();
  std::vector<std::string> broken;
  contract::contract_checks()[check].run(env_registry()[env], broken);
  for (const std::string& what : broken) ADD_FAILURE() << what;
}

INSTANTIATE_TEST_SUITE_P(Envs, ContractTest,
                         testing::Combine(testing::Range(std::size_t{0}, env_registry().size()),
                                          testing::Range(std::size_t{0},
                                                         contract::contract_checks().size())),
                         case_name);

class GoldenTest : public testing::TestWithParam<std::size_t> {};

// ROLLMILL_PRINT_GOLDEN=1 prints the line to store. This test never writes the file.
TEST_P(GoldenTest, FirstEpisodesHaveTheStoredHash) {
  const EnvEntry& entry = env_registry()[GetParam()];
  char line[128];
  std::snprintf(line, sizeof line, "%s 0x%016llx", entry.id,
                static_cast<unsigned long long>(contract::golden_hash(entry, 1000)));
  if (std::getenv("ROLLMILL_PRINT_GOLDEN") != nullptr) std::printf("%s\n", line);
  std::ifstream file(std::string(RM_TEST_DATA_DIR) + "/golden/contract_hashes.txt");
  ASSERT_TRUE(file.is_open());
  const std::string prefix = std::string(entry.id) + " ";
  for (std::string stored; std::getline(file, stored);) {
    if (stored.rfind(prefix, 0) != 0) continue;
    EXPECT_EQ(line, stored);
    return;
  }
  FAIL() << "no hash stored for " << entry.id << "; ROLLMILL_PRINT_GOLDEN=1 prints it";
}

INSTANTIATE_TEST_SUITE_P(Envs, GoldenTest, testing::Range(std::size_t{0}, env_registry().size()),
                         [](const testing::TestParamInfo<std::size_t>& at) {
                           return test_name(env_registry()[at.param].id);
                         });

}  // namespace
}  // namespace rollmill
