// The environment's own scripted expert as a policy: deterministic, no log-probabilities.
#pragma once

#include <string>
#include <vector>

#include "envs/registry.h"
#include "rollout/policy.h"

namespace rollmill {

class ScriptedPolicy final : public Policy {
 public:
  ScriptedPolicy(const EnvEntry& entry, std::vector<double> params)
      : entry_(entry), params_(std::move(params)) {}
  void act(const ActRequest& q) const override {
    entry_.expert(params_, q.observations, q.stride, q.begin, q.end, q.actions);
    for (int i = q.begin; i < q.end; ++i) {
      if (q.logprobs != nullptr) q.logprobs[i] = 0.0f;  // probability one
      if (q.values != nullptr) q.values[i] = 0.0f;
    }
  }
  std::string id() const override { return "expert"; }
  std::string hash() const override { return "expert"; }

 private:
  const EnvEntry& entry_;
  std::vector<double> params_;
};

}  // namespace rollmill
