// What the rest of the program knows of an environment: the contract's static facts as plain data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rollmill {

struct FieldSpec {
  std::string name, unit, note;
  double low = 0, high = 0;
};

struct ParamSpec {
  FieldSpec field;
  double default_value = 0;
  bool integer = false;
};

struct EnvSpec {
  std::string id, summary, references;
  int time_limit = 0;  // steps; 0: none
  double reward_low = 0, reward_high = 0, solved_at = 0;
  std::vector<FieldSpec> observation;  // one per observation element, float32 each
  std::vector<FieldSpec> action;       // one per action column
  bool discrete = true;                // one int32 column of `choices` values, or float32 columns
  int choices = 0;
  std::vector<std::string> outcomes;  // outcomes[0] = "time_limit"
  std::vector<ParamSpec> params;
  std::vector<std::string> state_fields;

  int observation_size() const { return static_cast<int>(observation.size()); }
  int action_size() const { return static_cast<int>(action.size()); }
  // Width of a policy's output head: logits or means.
  int policy_outputs() const { return discrete ? choices : action_size(); }
};

}  // namespace rollmill
