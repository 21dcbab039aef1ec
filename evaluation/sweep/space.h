// What a sweep varies, and the values of each trial. A trial's values are a function of (sweep seed, key, trial) and of
// nothing else: any subset of trials can be run anywhere, and a key more or another order changes no other key's values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/config/value.h"

namespace rollmill {

class Config;

struct SweepDimension {
  enum class Draw { kUniform, kLogUniform, kInteger, kChoice };
  std::string key;  // of the recipe: "ppo.learning_rate"
  Draw draw = Draw::kChoice;
  double low = 0, high = 0;          // both included
  std::vector<ConfigValue> choices;  // of kChoice
};
using SweepSpace = std::vector<SweepDimension>;

struct TrialValue {
  std::string key;
  ConfigValue value;
};
using TrialValues = std::vector<TrialValue>;

// [sweep.space]: KEY = { uniform = [low, high] }, log_uniform, integer or choice = [...]; a plain list is a choice.
// Throws usage errors with the place: no keys, wrong ranges, unknown draws, keys that the sweep sets itself (run.*).
SweepSpace read_sweep_space(Config& config);

// Points of the grid, which all dimensions must be choices for; the last key varies fastest. Saturates at 2^62.
std::int64_t grid_size(const SweepSpace& space);
TrialValues grid_values(const SweepSpace& space, std::int64_t trial);

// Real numbers are drawn to six significant digits: what a table shows is the value, on every machine.
TrialValues drawn_values(const SweepSpace& space, std::uint64_t seed, std::int64_t trial);

// "ppo.epochs=4": what --set takes.
std::string override_text(const TrialValue& value);
// "ppo.epochs=4 ppo.clip=0.2": for people.
std::string values_text(const TrialValues& values);

}  // namespace rollmill
