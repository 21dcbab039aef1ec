// What every environment promises, as checks that say in words what is broken. The test suite runs them on every
// registered environment, `rollmill check-env` on anyone's, a plugin's too.
#pragma once

#include <string>
#include <vector>

#include "envs/registry.h"

namespace rollmill::contract {

struct Check {
  const char* name;     // short, for reports and test names
  const char* promise;  // one sentence
  // Adds a sentence to `broken` for each thing that is not as promised; stops at a handful.
  void (*run)(const EnvEntry& entry, std::vector<std::string>& broken);
};

// In the order in which they should be read: a later one may fail because an earlier one does.
const std::vector<Check>& contract_checks();

// FNV-1a over the first episodes of `num_envs` environments: each one's first observation and each step's reward, end,
// observation (the last step's is the final one) and mask, then over those hashes in environment order. Any compiler, flag set and
// thread count gives the same value; a change of it breaks the replay of recorded data. Episodes are cut after 10,000 steps.
std::uint64_t golden_hash(const EnvEntry& entry, int num_envs);

}  // namespace rollmill::contract
