// Plain policy shapes for tests: d real observations; logits of one choice, or means of real actions.
#pragma once

#include <vector>

#include "rollout/mlp/layout.h"

namespace rollmill::testing {

inline ObservationSpec reals(int d) { return {ObservationKind::kReal, {d}, {}, d, d}; }

inline PolicyShape plain_shape(int observations, bool discrete, int outputs,
                               const std::vector<int>& hidden) {
  PolicyShape shape;
  shape.observed = reals(observations);
  if (discrete) shape.choices = {outputs};
  shape.reals = discrete ? 0 : outputs;
  shape.hidden = hidden;
  return shape;
}

}  // namespace rollmill::testing
