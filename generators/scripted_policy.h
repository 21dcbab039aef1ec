// The environment's own scripted expert as a policy: deterministic, no log-probabilities.
#pragma once

#include <string>

#include "core/base/assert.h"
#include "rollout/policy.h"

namespace rollmill {

class ScriptedPolicy final : public Policy {
 public:
  void act(const ActRequest& q) const override {
    RM_ASSERT(q.batch != nullptr);
    q.batch->act_expert(q.observations, q.begin, q.end, q.actions);
    for (int i = q.begin; i < q.end; ++i) {
      if (q.logprobs != nullptr) q.logprobs[i] = 0.0f;  // probability one
      if (q.values != nullptr) q.values[i] = 0.0f;
    }
  }
  std::string id() const override { return "expert"; }
  std::string hash() const override { return "expert"; }
};

}  // namespace rollmill
