#include "rollout/recorded_actions.h"

#include <fmt/core.h>

#include "core/base/error.h"

namespace rollmill {

void check_actions(const EnvSpec& spec, const ShardData& shard, const std::string& where) {
  const RecordedActions actions(spec, shard);
  const int choices = static_cast<int>(spec.choices.size());
  const auto bad = [&](std::int64_t row, const std::string& action) {
    fail_data(where + ": row " + std::to_string(row) + ": " + action + " is not an action of " +
              spec.id);
  };
  for (std::int64_t row = 0; row < static_cast<std::int64_t>(shard.steps()); ++row) {
    for (int k = 0; k < choices; ++k) {
      const std::int32_t v = actions.choice(row, k);
      if (v < 0 || v >= spec.choices[static_cast<std::size_t>(k)]) bad(row, std::to_string(v));
    }
    for (int k = 0; k < spec.real_actions(); ++k) {
      const FieldSpec& f = spec.action[static_cast<std::size_t>(choices + k)];
      const auto v = static_cast<double>(actions.real(row, k));
      if (!(v >= f.low && v <= f.high)) bad(row, fmt::format("{}", actions.real(row, k)));
    }
  }
}

}  // namespace rollmill
