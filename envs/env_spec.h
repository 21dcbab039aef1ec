// What the rest of the program knows of an environment: the contract's static facts as plain data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "envs/spaces.h"

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

// How observations are stored and what a network reads; see envs/spaces.h.
struct ObservationSpec {
  ObservationKind kind = ObservationKind::kReal;
  std::vector<int> shape;    // {d}, {k} choices, or {c, h, w}
  std::vector<int> choices;  // kChoices: how many each column has
  int columns = 0;           // 32-bit words stored for one environment
  int elements = 0;          // numbers that a network reads
  bool operator==(const ObservationSpec&) const = default;
};

// "real", "choices", "bits" or "pixels": as files name it.
const char* observation_kind_name(ObservationKind kind);

enum class ExpertKind : std::uint8_t { kNone, kObservation, kState };

struct EnvSpec {
  std::string id, summary, references, measures;
  int time_limit = 0;  // steps; 0: none
  double reward_low = 0, reward_high = 0, solved_at = 0;
  std::vector<FieldSpec>
      observation;  // one per element (kReal), column (kChoices) or plane (kBits, kPixels)
  ObservationSpec observed;
  std::vector<FieldSpec> action;  // one per action column: choices first, then real numbers
  std::vector<int> choices;       // of each discrete action column
  std::string keys;               // of `rollmill play`, one a choice; empty: digits
  int mask_columns = 0;           // 32-bit words of the action mask, one bit a choice; 0: no mask
  std::vector<std::string>
      outcomes;     // outcomes[0] = "time_limit"; 255 is "not_finite" (outcome_name)
  int success = 0;  // outcome that means success; 0: return >= solved_at
  std::vector<ParamSpec> params;
  std::vector<int> difficulty;            // indices of the parameters that make it harder
  std::vector<std::string> state_fields;  // one per word; "name[3]" for arrays
  std::vector<bool> state_is_real;        // which of them are floats
  ExpertKind expert = ExpertKind::kNone;

  int observation_columns() const { return observed.columns; }
  int observation_size() const { return observed.elements; }
  int action_size() const { return static_cast<int>(action.size()); }
  int real_actions() const { return action_size() - static_cast<int>(choices.size()); }
  int total_choices() const {
    int total = 0;
    for (const int n : choices) total += n;
    return total;
  }
  // One int32 column of choices[0] values, and nothing else.
  bool single_choice() const { return choices.size() == 1 && action.size() == 1; }
  bool continuous() const { return choices.empty(); }
  // Width of a policy's output head: logits of every choice, then means.
  int policy_outputs() const { return total_choices() + real_actions(); }
};

std::string outcome_name(const EnvSpec& spec, int outcome);

}  // namespace rollmill
