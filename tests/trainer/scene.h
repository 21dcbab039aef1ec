// A small policy and a made-up rollout for it, such that every branch of PPO's loss is taken: ratios inside and outside
// the clip range on both sides, values that moved more and less than the value clip.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/dist/process_group.h"
#include "core/rng/rng.h"
#include "envs/registry.h"
#include "rollout/collector.h"
#include "trainer/learner.h"

namespace rollmill::testing {

inline EnvSpec scene_spec(bool discrete, int observations) {
  EnvSpec spec;
  spec.observation.resize(static_cast<std::size_t>(observations));
  spec.observed = {ObservationKind::kReal, {observations}, {}, observations, observations};
  if (discrete) spec.choices = {3};
  spec.action.resize(discrete ? 1 : 2);
  for (auto& f : spec.action) f.low = -1, f.high = 1;
  return spec;
}

// A rollout that the policy makes in a real environment, with what came before it, for every kind of space.
inline void collect_rollout(const EnvEntry& entry, const PolicyWeights& weights,
                            const RolloutBuffer& b, std::uint64_t seed = 12) {
  ThreadPool pool(1);
  BatchConfig config;
  config.num_envs = b.num_envs;
  config.seed = seed;
  const auto batch = entry.make_cpu(config, &pool);
  const MlpPolicy policy(batch->spec(), weights, 1, false);
  HostCollector collector(*batch, policy, b, pool);
  collector.reset();
  collector.collect({});
  collector.advance();
  collector.collect({});
}

struct Scene {
  Scene(bool discrete, std::vector<int> hidden, int steps, int envs, int observations = 3,
        int threads = 1)
      : Scene(scene_spec(discrete, observations), {hidden}, steps, envs, threads, nullptr) {}
  Scene(bool discrete, const PolicyChoices& network, int steps, int envs)
      : Scene(scene_spec(discrete, 3), network, steps, envs, 1, nullptr) {}
  Scene(const EnvEntry& entry, int frame_stack, std::vector<int> hidden, int steps, int envs,
        int threads = 1)
      : Scene(entry.spec(), {hidden, frame_stack}, steps, envs, threads, &entry) {}
  Scene(const EnvEntry& entry, const PolicyChoices& network, int steps, int envs, int threads = 1,
        int sequence_length = 0, int burn_in = 0)
      : Scene(entry.spec(), network, steps, envs, threads, &entry, sequence_length, burn_in) {}

  std::unique_ptr<Learner> learner(std::uint64_t seed = 5) {
    return make_fused_learner({&options, &weights, &optimizer, group.get(), &pool, seed});
  }

  EnvSpec spec;
  PolicyWeights weights;
  HostRollout rollout;
  OptimizerState optimizer;
  PpoOptions options;
  ThreadPool pool;
  std::unique_ptr<ProcessGroup> group;

 private:
  Scene(const EnvSpec& environment, const PolicyChoices& network, int steps, int envs, int threads,
        const EnvEntry* entry, int sequence_length = 0, int burn_in = 0)
      : spec(environment),
        weights(shape_for(spec, network)),
        rollout(spec, steps, envs, network.frame_stack,
                {weights.layout.shape.memory_columns(), sequence_length, burn_in}),
        pool(threads),
        group(make_process_group(LaunchInfo{}, false)) {
    initialize_weights(weights, 2, -0.3f);
    Rng rng(31, Purpose::kTest, 0, 0, 0);
    for (const auto* net : {&weights.layout.actor, &weights.layout.critic}) {
      for (const DenseLayer& layer : net->dense) {
        for (int k = 0; k <= layer.inputs; ++k) {  // the row after the last is the bias
          for (int j = 0; j < layer.outputs; ++j) {
            weights.params[static_cast<std::size_t>(layer.weight + k * layer.width + j)] +=
                0.3f * rng.normal();
          }
        }
      }
    }
    const int observations = spec.observed.elements;
    weights.normalizer =
        ObservationNormalizer(observations, spec.observed.kind == ObservationKind::kReal, 1.8f);
    std::vector<Moments> moments;
    for (int k = 0; k < observations; ++k)
      moments.push_back({10.0, 0.2 * k, 10.0 * (0.6 + 0.2 * k)});
    weights.normalizer.set_moments(moments);
    optimizer.first.resize(weights.params.size());
    optimizer.second.resize(weights.params.size());
    if (entry == nullptr) {
      fill(rng);
    } else {
      collect_rollout(*entry, weights, rollout.buffer());
    }
    perturb(rng);
  }

  void fill(Rng& rng) {
    const RolloutBuffer& b = rollout.buffer();
    const MlpPolicy policy(spec, weights, 1, false);
    const std::vector<std::uint32_t> zero(static_cast<std::size_t>(b.num_envs));
    std::vector<std::uint32_t> ids(zero);
    for (int i = 0; i < b.num_envs; ++i)
      ids[static_cast<std::size_t>(i)] = static_cast<std::uint32_t>(i);
    for (int t = 0; t < b.horizon; ++t) {
      for (std::int64_t k = 0; k < b.observation_columns * b.stride; ++k)
        b.observation_slot(t)[k] = rng.normal();
      const std::vector<std::uint32_t> step(zero.size(), static_cast<std::uint32_t>(t));
      ActRequest q = request_for_slot(b, t);
      q.keys = {ids.data(), zero.data(), step.data()};
      q.end = b.num_envs;
      policy.act(q);
    }
  }

  void perturb(Rng& rng) {
    const RolloutBuffer& b = rollout.buffer();
    for (int t = 0; t < b.horizon; ++t) {
      for (int i = 0; i < b.num_envs; ++i) {
        const std::int64_t at = t * b.stride + i;
        b.logprobs[at] += 0.3f * rng.normal();  // as if the policy had moved since
        b.advantages[at] = 0.4f + 2.0f * rng.normal();
        b.returns[at] = b.values[at] + rng.normal();
        b.values[at] += 0.4f * rng.normal();
      }
    }
  }
};

}  // namespace rollmill::testing
