// The learner on emulated tensor cores against the CPU's with bfloat16 products. Bits are not promised, so this is an oracle with a
// tolerance; what is promised, first ratios of exactly 1, is held, too. After tests/cuda/emulation.h.
#pragma once

#include <gtest/gtest.h>

#include <cmath>

#include "tests/cuda/learner_updates.h"

namespace rollmill::testing {

// Adam's first step. What differs is how float32 sums are rounded, and perhaps a number between two bfloat16 ones that is rounded
// the other way: 2^-8 of one factor of thousands. (float32's gradient is 2e-3 away.)
inline constexpr double kTensorGradientDiffers = 1e-4;

// 31 environments: the last tile of a shard, of rows or of sequences, is not a multiple of 16.
inline void expect_tensor_gradient(const Kind& kind, int envs = 31, int horizon = 8) {
  const auto group = make_process_group(LaunchInfo{}, false);
  const EnvSpec spec = kind.entry->spec();
  PolicyWeights host(shape_for(spec, kind.network));
  HostRollout rollout(spec, horizon, envs, kind.network.frame_stack,
                      {host.layout.shape.memory_columns(), kind.sequence_length, kind.burn_in});
  const RolloutBuffer& b = rollout.buffer();
  initialize_weights(host, 3, -0.4f);
  Rng rng(8, Purpose::kTest, 0, 0, 0);
  for (const auto* net : {&host.layout.actor, &host.layout.critic}) {
    // A row without observations gives something, too.
    for (const DenseLayer& l : net->dense) {
      for (int j = 0; j < l.outputs; ++j)
        host.params[static_cast<std::size_t>(l.bias + j)] = 0.3f * rng.normal();
    }
  }
  host.normalizer = ObservationNormalizer(spec.observed.elements, false, 1.0f);
  collect_rollout(*kind.entry, host, b);
  PolicyWeights device = host;
  PpoOptions o;
  o.horizon = horizon;
  o.epochs = o.minibatches = 1;
  o.max_grad_norm = 0;
  OptimizerState first, second;
  for (OptimizerState* s : {&first, &second}) {
    s->first.resize(host.params.size());
    s->second.resize(host.params.size());
  }
  EmulatedLearner emulated(o, device, second, b, 21, {}, 1, *group, Products::kBf16Tensor);
  emulated.act();
  ThreadPool pool(1);
  LearnerContext context{&o, &host, &first, group.get(), &pool, 21};
  context.bf16 = true;
  make_fused_learner(context)->update(b, 0, 1e-3);
  EXPECT_EQ(emulated.update(0, 1e-3).first_ratio_error, 0.0);
  EXPECT_EQ(second.step, 1);
  double difference = 0, size = 0;  // of Adam's first moment, a tenth of the gradient
  for (std::size_t i = 0; i < first.first.size(); ++i) {
    const double expected = first.first[i], d = second.first[i] - expected;
    difference += d * d;
    size += expected * expected;
  }
  EXPECT_LT(std::sqrt(difference / size), kTensorGradientDiffers);
  emulated.act();  // with the weights as they are after a step
  EXPECT_EQ(emulated.update(1, 1e-3).first_ratio_error, 0.0);
}

}  // namespace rollmill::testing
