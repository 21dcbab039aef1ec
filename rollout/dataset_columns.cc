#include "rollout/dataset_columns.h"

namespace rollmill {

std::size_t observation_bytes(const ObservationSpec& o) {
  switch (o.kind) {
    case ObservationKind::kBits: return static_cast<std::size_t>((o.elements + 7) / 8);
    case ObservationKind::kPixels: return static_cast<std::size_t>(o.elements);
    default: return static_cast<std::size_t>(o.columns) * 4;
  }
}

bool small_action(const EnvSpec& spec) { return spec.single_choice() && spec.choices[0] <= 127; }

std::vector<Column> dataset_columns(const EnvSpec& env, bool policy_outputs, const World& world) {
  const auto size = [](auto n) { return static_cast<std::uint64_t>(n); };
  const ObservationSpec& o = env.observed;
  SpaceColumns spaces;
  switch (o.kind) {
    case ObservationKind::kReal: spaces.observation_shape = {size(o.columns)}; break;
    case ObservationKind::kChoices:
      spaces.observation = DType::kI32;
      if (o.columns > 1) spaces.observation_shape = {size(o.columns)};
      break;
    case ObservationKind::kBits:
      spaces.observation = DType::kU8;
      spaces.observation_shape = {size(observation_bytes(o))};
      break;
    case ObservationKind::kPixels:
      spaces.observation = DType::kU8;
      spaces.observation_shape.assign(o.shape.begin(), o.shape.end());
      break;
  }
  if (env.continuous()) {
    spaces.action.row_shape = {size(env.action_size())};
  } else {
    spaces.action.dtype = small_action(env) ? DType::kI8 : DType::kI32;
    if (env.choices.size() > 1) spaces.action.row_shape = {size(env.choices.size())};
    spaces.real_actions = size(env.real_actions());
  }
  if (env.mask_columns > 0) spaces.mask_choices = size(env.total_choices());
  const bool drawn = !world.draws.empty() || world.levels.count != 0;
  auto columns = standard_columns(spaces, policy_outputs, drawn ? size(env.params.size()) : 0);
  if (world.levels.count != 0) columns.push_back({"episodes/level", DType::kI64, {}});
  return columns;
}

}  // namespace rollmill
