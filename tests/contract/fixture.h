// The tests of tests/contract run once for each registered environment.
#pragma once

#include <gtest/gtest.h>

#include <cctype>
#include <ostream>
#include <string>

#include "tests/contract/runner.h"

namespace rollmill {

inline void PrintTo(const EnvEntry& entry, std::ostream* out) { *out << entry.id; }

namespace test {

class ContractTest : public testing::TestWithParam<EnvEntry> {
 protected:
  static BatchConfig config(int num_envs, int time_limit = -1) {
    BatchConfig c;
    c.num_envs = num_envs;
    c.seed = 0x123456789abcdefu;
    c.time_limit = time_limit;
    return c;
  }
  const EnvEntry& entry() const { return GetParam(); }
};

inline std::string env_name(const testing::TestParamInfo<EnvEntry>& info) {
  std::string name = info.param.id;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}

}  // namespace test
}  // namespace rollmill
