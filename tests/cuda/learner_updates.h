// What tests of the CUDA learner's kernels on host threads share: the comparison of whole updates with the CPU's fused learner, whose
// weights, Adam's moments and losses must be the same bits.
#pragma once

#include <gtest/gtest.h>

#include <thread>
#include <utility>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/dist/local_group.h"
#include "core/dist/process_group.h"
#include "tests/cuda/learner_emulation.h"
#include "tests/support/counter_env.h"
#include "tests/trainer/scene.h"
#include "trainer/learner.h"

namespace rollmill::testing {

struct Kind {
  const EnvEntry* entry;
  PolicyChoices network;
  bool normalize = false;
  int sequence_length = 0, burn_in = 0;  // with a memory
  Products products = Products::kFloat32;
};

// Two updates of a rank by each learner from the same start; `cpu` and `gpu`: its places in the two worlds; groups: of all ranks.
inline void expect_equal_rank(const Kind& kind, PpoOptions o, int envs, int horizon,
                              const std::vector<ParamRange>& frozen, int groups, ProcessGroup& cpu,
                              ProcessGroup& gpu) {
  const int mine = groups > 0 ? groups / cpu.world_size() : 1;
  const EnvSpec spec = kind.entry->spec();
  const PolicyShape shape = shape_for(spec, kind.network);
  HostRollout rollout(spec, horizon, envs, kind.network.frame_stack,
                      {shape.memory_columns(), kind.sequence_length, kind.burn_in});
  const RolloutBuffer& b = rollout.buffer();
  PolicyWeights host(shape), device(shape);
  initialize_weights(host, 3, -0.4f);
  host.normalizer = ObservationNormalizer(
      spec.observed.elements, kind.normalize && spec.observed.kind == ObservationKind::kReal, 1.5f);
  std::vector<Moments> moments;
  for (int k = 0; k < spec.observed.elements; ++k) moments.push_back({50.0, 0.1 * k, 40.0 + 9 * k});
  host.normalizer.set_moments(moments);
  collect_rollout(*kind.entry, host, b, static_cast<std::uint64_t>(12 + cpu.rank()));
  if (b.memory_columns > 0) {
    int inside = 0;  // sequences in which an episode ends
    for (int t = 0; t < horizon; ++t) {
      for (int i = 0; i < envs; ++i)
        inside += (t + 1) % b.sequence_length != 0 && b.ends[t * b.stride + i] != kRunning ? 1 : 0;
    }
    EXPECT_GT(inside, 0);
  }
  // As if the policy had moved since: some ratios are clipped.
  Rng rng(7, Purpose::kTest, static_cast<std::uint32_t>(cpu.rank()), 0, 0);
  for (int t = 0; t < horizon; ++t) {
    for (int i = 0; i < envs; ++i) {
      const std::int64_t at = t * b.stride + i;
      b.logprobs[at] += 0.3f * rng.normal();
      b.advantages[at] = 0.3f + 2.0f * rng.normal();
      b.returns[at] = b.values[at] + rng.normal();
      b.values[at] += 0.4f * rng.normal();
    }
  }
  set_to_zero(frozen, host.params.data());
  device = host;
  o.horizon = horizon;
  OptimizerState first, second;
  for (OptimizerState* s : {&first, &second}) {
    s->first.resize(host.params.size());
    s->second.resize(host.params.size());
  }
  ThreadPool pool(1);
  LearnerContext context{&o, &host, &first, &cpu, &pool, 21, false, 0, groups};
  context.frozen = frozen;
  context.bf16 = kind.products != Products::kFloat32;
  const auto learner = make_fused_learner(context);
  EmulatedLearner emulated(o, device, second, b, 21, frozen, mine, gpu, kind.products);
  for (int update = 0; update < 2; ++update) {
    const UpdateStats stats = learner->update(b, update, 1e-3);
    const UpdateStats now = emulated.update(update, 1e-3);
    EXPECT_EQ(host.params, device.params);
    EXPECT_EQ(first.first, second.first);
    EXPECT_EQ(first.second, second.second);
    EXPECT_EQ(first.step, second.step);
    EXPECT_EQ(stats.policy_loss, now.policy_loss);
    EXPECT_EQ(stats.value_loss, now.value_loss);
    EXPECT_EQ(stats.entropy, now.entropy);
    EXPECT_EQ(stats.clip_fraction, now.clip_fraction);
    EXPECT_EQ(stats.approx_kl, now.approx_kl);
    EXPECT_EQ(stats.grad_norm, now.grad_norm);
    EXPECT_EQ(stats.first_ratio_error, now.first_ratio_error);
    EXPECT_EQ(stats.explained_variance, explained_variance(emulated.spreads(), mine, gpu));
  }
  const PolicyWeights start(shape);
  EXPECT_NE(host.params, start.params);
}

inline void expect_equal_updates(const Kind& kind, const PpoOptions& o, int envs = 30,
                                 int horizon = 16, const std::vector<ParamRange>& frozen = {},
                                 int groups = 0) {
  const auto group = make_process_group(LaunchInfo{}, false);
  expect_equal_rank(kind, o, envs, horizon, frozen, groups, *group, *group);
}

inline void expect_equal_ranks(const Kind& kind, const PpoOptions& o, int world, int envs,
                               int horizon, int groups) {
  LocalWorld cpus(world), gpus(world);
  std::vector<std::jthread> ranks;
  for (int r = 0; r < world; ++r) {
    ranks.emplace_back([&, r] {
      LocalGroup cpu(cpus, r), gpu(gpus, r);
      expect_equal_rank(kind, o, envs, horizon, {}, groups, cpu, gpu);
    });
  }
}

inline PpoOptions everything() {
  PpoOptions o;
  o.epochs = 2;
  o.minibatches = 2;
  o.value_clip = 0.2f;
  o.value_huber = 0.5f;
  o.entropy_coefficient = 0.01f;
  o.max_grad_norm = 0.1f;
  return o;
}

// A policy with memory that learns from sequences.
inline Kind remembering(const EnvEntry& entry, MemoryKind memory, Trunk trunk, int length,
                        int burn_in, std::vector<int> hidden = {24}) {
  PolicyChoices network{.hidden = std::move(hidden)};
  network.memory = memory;
  network.memory_size = 20;  // padded to 32
  network.trunk = trunk;
  return {&entry, network, true, length, burn_in};
}

// A policy that begins with convolutions.
inline Kind convolving(const EnvEntry& entry, std::vector<ConvShape> conv, std::vector<int> hidden,
                       int frames = 1, Trunk trunk = Trunk::kSeparate,
                       Activation activation = Activation::kTanh) {
  PolicyChoices network{.hidden = std::move(hidden), .frame_stack = frames};
  network.conv = std::move(conv);
  network.trunk = trunk;
  network.activation = activation;
  return {&entry, network, true};
}

}  // namespace rollmill::testing
