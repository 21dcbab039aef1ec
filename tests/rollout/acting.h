// One call of a policy on made-up observations, with all of its outputs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/aligned.h"
#include "core/rng/rng.h"
#include "rollout/mlp/mlp_policy.h"

namespace rollmill::testing {

inline EnvSpec act_spec(bool discrete) {
  EnvSpec spec;
  spec.id = discrete ? "Discrete-v0" : "Continuous-v0";
  spec.observation.resize(5);
  spec.observed = {ObservationKind::kReal, {5}, {}, 5, 5};
  if (discrete) spec.choices = {3};
  spec.action.resize(discrete ? 1 : 2);
  if (!discrete) {
    spec.action[0].low = -2, spec.action[0].high = 2;
    spec.action[1].low = 0, spec.action[1].high = 10;
  }
  return spec;
}

// Weights far from symmetric: large heads, biases, a normaliser with moments.
inline void rough_weights(PolicyWeights& w, bool normalize) {
  initialize_weights(w, 4, -0.7f);
  Rng rng(6, Purpose::kTest, 0, 0, 0);
  for (const auto* net : {&w.layout.actor, &w.layout.critic}) {
    for (const DenseLayer& layer : net->dense) {
      for (int k = 0; k <= layer.inputs; ++k) {  // the row after the last is the bias
        for (int j = 0; j < layer.outputs; ++j)
          w.params[static_cast<std::size_t>(layer.weight + k * layer.width + j)] +=
              0.4f * rng.normal();
      }
    }
  }
  w.normalizer = ObservationNormalizer(w.layout.shape.observed.elements, normalize, 2.0f);
  if (!normalize) return;
  std::vector<Moments> moments;
  for (int k = 0; k < w.layout.shape.observed.elements; ++k)
    moments.push_back({50.0, 0.3 * k - 0.1, 50.0 * (0.2 + k)});
  w.normalizer.set_moments(moments);
}

struct Acted {
  int n;
  std::int64_t stride;
  AlignedVector<float> observations, raw, logprobs, values;
  AlignedVector<std::uint32_t> actions;  // bits of int32 or float32
  std::vector<std::uint32_t> environment, episode, step;

  // Environment i is number first + i of an endless row of environments.
  Acted(const EnvSpec& spec, int count, int first = 0, std::int64_t pad = 0)
      : n(count), stride(padded_columns(count) + pad) {
    const auto s = static_cast<std::size_t>(stride),
               actions_size = s * static_cast<std::size_t>(spec.action_size());
    observations.resize(s * static_cast<std::size_t>(spec.observation_size()));
    raw.resize(actions_size);
    actions.resize(actions_size);
    logprobs.resize(s);
    values.resize(s);
    for (int i = 0; i < n; ++i) {
      const auto id = static_cast<std::uint32_t>(first + i);
      environment.push_back(id);
      episode.push_back(id % 5);
      step.push_back(id / 3);
      Rng rng(8, Purpose::kTest, id, 0, 0);
      for (int k = 0; k < spec.observation_size(); ++k)
        observations[static_cast<std::size_t>(k * stride + i)] = 1.5f * rng.normal();
    }
  }
  ActRequest request(int begin, int end) {
    ActRequest q;
    q.observations = observations.data();
    q.stride = stride;
    q.keys = {environment.data(), episode.data(), step.data()};
    q.begin = begin;
    q.end = end;
    q.actions = actions.data();
    q.raw_actions = raw.data();
    q.logprobs = logprobs.data();
    q.values = values.data();
    return q;
  }
};

}  // namespace rollmill::testing
